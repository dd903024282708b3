"""The process of one model, from the fork on: load it, then answer calls until the runner is gone."""

from __future__ import annotations

import gc
import os
import pickle
import random
import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from crunch_game._importing import import_code
from crunch_game.contract import Contract
from crunch_game.encoding import Unsendable, decode, reader
from crunch_game.errors import LoadError
from crunch_game.faults import fault_of, own_frames, shortened
from crunch_game.hosts._calling import Callee
from crunch_game.hosts._folders import fill
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process import _lifeline as lifeline
from crunch_game.hosts.process.child import _output as output
from crunch_game.hosts.process.child._answering import Inbox, Refusal, answer_calls
from crunch_game.hosts.process.child._reaper import become_subreaper
from crunch_game.hosts.process.child._telling import Listener
from crunch_game.loading import Loader, make_model
from crunch_game.sandbox import Sandbox, barrier_of, enclosure
from crunch_game.sources import resolve

FAILED: Final = 70
"""The exit code of a model's process in which our own code failed."""
_CHANNEL: Final = 256
_LIFELINE: Final = _CHANNEL + 1
DESCRIPTORS: Final = _LIFELINE + 1
"""Open files that a process must be allowed, to become a model's."""
_MAX_NAME_CHARACTERS: Final = 100
"""Of an exception's name: a participant may have made it."""


class SetupBody(msgspec.Struct, array_like=True):
    """What a worker needs to load its model.

    `folder` is the submission's, if that is one, `home` the folder that the model works in, `readable` the paths of its
    submission, and `submission_folders` those in which all models' submissions are. The loader is the author's, and so
    may be pickled. `answer_limit` is in bytes.
    """

    source: str
    is_class: bool
    loader: bytes
    init: msgspec.Raw
    folder: str | None
    home: str
    readable: list[str]
    submission_folders: list[str]
    answer_limit: int
    lenient: bool = False


class _SetupFrame(msgspec.Struct, array_like=True):
    kind: int
    call: int
    body: SetupBody


_read_setup: Callable[[bytes], _SetupFrame] = reader(_SetupFrame)


def become_model(descriptors: Sequence[int], pipe: str, contract: Contract, sandbox: Sandbox | None) -> NoReturn:
    """Serve a model for the rest of a forked process's life.

    Nothing of the fork server is left to it, and its output goes to its logs, before the first line of a participant
    is run.

    Args:
        descriptors: Its end of the channel, stdout and stderr.
        pipe: The lifeline's path.
        contract: What it must be able to do.
        sandbox: What it may do, or None.
    """
    try:
        # A group of its own, and no session: where the kernel shares the processors among sessions (autogroups), each
        # model would weigh as much as the coordinator, and niceness would count for nothing.
        os.setpgid(0, 0)
        become_subreaper()
        channel, out, err = descriptors
        output.redirect(out, err)
        if channel != _CHANNEL:  # last: any of the others may have had this number
            os.dup2(channel, _CHANNEL, inheritable=False)
        os.closerange(3, _CHANNEL)
        os.closerange(_LIFELINE, os.sysconf("SC_OPEN_MAX"))
        lifeline.hold(pipe, _LIFELINE)
        os.nice(5)
        gc.enable()
        sys.dont_write_bytecode = True
        # Luck of its own: it would have the fork server's, as all others.
        random.seed()
        if (numpy_random := sys.modules.get("numpy.random")) is not None:
            numpy_random.seed()
        Worker(contract, sandbox).serve(socket.socket(fileno=_CHANNEL))
        os._exit(0)
    finally:
        output.report_fatal_error()
        os._exit(FAILED)


class Worker:
    """One model, from its first frame on.

    Args:
        contract: What it must be able to do.
        sandbox: What it may do, or None.
    """

    def __init__(self, contract: Contract, sandbox: Sandbox | None) -> None:
        self._contract = contract
        self._sandbox = sandbox
        self._callee: Callee | None = None

    def serve(self, channel: socket.socket) -> None:
        """Load the model that the first frame tells of, and answer its calls until the channel closes."""
        inbox = Inbox(channel)
        setup, _ = inbox.receive()
        if setup is not None:
            answer_limit = self._set_up(setup, channel)
            if self._callee is not None:
                listener = Listener(self._callee, answer_limit, self._refusal)
                answer_calls(inbox, self._callee, answer_limit, self._refusal, listener.go_on)
            inbox.receive()  # what could not be loaded has nothing to answer; it waits to be ended

    def _set_up(self, payload: memoryview, channel: socket.socket) -> int:
        """Load the model, and say so or, whatever the participant's code did, why not. Returns the answers' limit."""
        setup = _read_setup(bytes(payload))
        reply = bytearray()
        try:
            self._callee, warned = self._load(setup.body)
            framing.frame_into(reply, framing.READY, setup.call, warned)
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like are outcomes too
            kind, told = self._refusal(error)
            framing.frame_into(reply, kind, setup.call, told)
        channel.sendall(reply)
        return setup.body.answer_limit

    def _refusal(self, error: BaseException) -> tuple[int, Refusal]:
        """What to say of an error instead of an answer, and the kind of frame; what was printed is in the logs then."""
        output.flush()
        kind, frames = framing.FAULT, None
        if isinstance(error, Unsendable):
            kind, name, message = framing.UNSENDABLE, "invalid", f"the answer cannot be sent: {error}"
        elif self._callee is not None and self._callee.lacks(error):
            kind, name, message = framing.UNSUPPORTED, "unsupported", str(error)
        elif isinstance(error, LoadError):
            cause = error.__cause__ or error
            name, message = type(cause).__name__, str(error) + self._barrier(cause)
            frames = own_frames(cause) if cause is not error else None
        else:
            fault = fault_of(error)
            name, message, frames = fault.kind, fault.message + self._barrier(error), fault.traceback
        return kind, (name[:_MAX_NAME_CHARACTERS], shortened(message), frames and shortened(frames))

    def _barrier(self, error: BaseException) -> str:
        """The barrier that the error comes from, as the end of a sentence; nothing if it is none."""
        barrier = barrier_of(error)
        return f" ({barrier})" if barrier else ""

    def _load(self, body: SetupBody) -> tuple[Callee, list[str]]:
        os.chdir(body.home)
        source = resolve(body.source) if body.is_class else body.source
        loader: Loader = pickle.loads(body.loader)
        os.environ.update(TMPDIR=body.home, HOME=body.home)
        # A library that was preloaded may have asked for the temporary folder, and that of the fork server is kept.
        if (tempfile := sys.modules.get("tempfile")) is not None:
            vars(tempfile)["tempdir"] = None
        if self._sandbox is not None:
            self._sandbox.enter(map(Path, body.readable), [Path(body.home)], body.submission_folders)
        if body.folder is not None:
            # In the sandbox, so that no link and no trick with files shows a model what it may not read.
            inside = enclosure()
            fill(body.home, body.folder, linked=inside is not None and inside.locked)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            code = import_code(source)
            code.scope.__enter__()  # for good: the whole process is this model's
            args, kwargs = decode(body.init)
            model = make_model(code, self._contract, loader, args, kwargs)
            callee = Callee(model, self._contract, lenient=body.lenient)
        return callee, [str(warning.message) for warning in caught]
