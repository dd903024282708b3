"""What every model's process does first, done in the fork server before it forks: a submission is loaded and called.

The interpreter writes into a function's code while it learns how to run it. Once it has, here, all models share that
code. Otherwise each would have a copy of its own: hundreds of KiB a model.
"""

from __future__ import annotations

import pickle
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from crunch_game.contract import Contract
from crunch_game.encoding import encode
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process.child._answering import CallBody
from crunch_game.hosts.process.child._worker import SetupBody, Worker
from crunch_game.loading import AutoLoader

_TIMES: Final = 20
"""After 8 runs CPython 3.11 begins to specialise a function's code, and a few more until it has."""
_SUBMISSION: Final = f"""
from {__name__} import Rehearsed

class Rehearsal(Rehearsed):
    def tell(self, number):
        self.number = number

    def ask(self, name, *, factor=1):
        return {{name: self.number * factor}}
"""


class Rehearsed:
    """The base class of the submission that is rehearsed."""

    def tell(self, number: float) -> None:
        """Told what happened."""
        raise NotImplementedError

    def ask(self, name: str, *, factor: int = 1) -> dict[str, float]:
        """Asked what will happen."""
        raise NotImplementedError


def rehearse() -> None:
    """Load a small submission and call it, often enough; nothing of it stays but what the interpreter has learned."""
    contract, file = Contract(Rehearsed), Path.cwd() / "rehearsal.py"
    paths, dont_write_bytecode = sys.path[:], sys.dont_write_bytecode
    with suppress(OSError):  # a disk may be full; models are dearer then, and nothing else
        file.write_text(_SUBMISSION)
        frames = _frames(file)
        for _ in range(_TIMES):
            # Packets, since a model's process takes one frame at a time: a coordinator waits for the answer to each.
            coordinator, channel = socket.socketpair(type=socket.SOCK_SEQPACKET)
            with coordinator, channel:
                for frame in frames:
                    coordinator.send(frame)
                coordinator.shutdown(socket.SHUT_WR)
                Worker(contract, None).serve(channel)
        file.unlink()
    sys.path[:], sys.dont_write_bytecode = paths, dont_write_bytecode
    sys.modules.pop(f"submission_{file.stem}", None)


def _frames(file: Path) -> list[bytes]:
    """What a coordinator sends to a model's process: what to load, and two calls."""
    init = msgspec.Raw(encode(([], {})))
    home = str(file.parent)
    setup = SetupBody(str(file), False, pickle.dumps(AutoLoader()), init, None, home, [], [], 1 << 20)
    calls = [CallBody("tell", ([1.5], {})), CallBody("ask", (["BTC"], {"factor": 2}))]
    bodies = [(framing.SETUP, setup), *((framing.CALL, call) for call in calls)]
    return [framing.frame(kind, number, encode(body)) for number, (kind, body) in enumerate(bodies)]
