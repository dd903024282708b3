"""A capsule whose call ended its process, or never ended, played in a process of its own: this one lives to tell."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from crunch_game.capsules.capsule import Capsule, read
from crunch_game.capsules.limits import exits_are_told
from crunch_game.capsules.replaying import Here, Replay
from crunch_game.capsules.stacks import Frame, Stack, dumped
from crunch_game.errors import CapsuleError
from crunch_game.faults import describe_exception
from crunch_game.hosts.privileges import become_oom_victim
from crunch_game.hosts.syscalls import Unavailable
from crunch_game.outcomes import Status

__all__ = ["main", "play_apart"]

_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from crunch_game.capsules.apart import main; main()"
)


class _Order(msgspec.Struct):
    """What the process is to play, and where it puts what came of it."""

    capsule: str
    source: str
    is_path: bool
    folder: str
    imports: str | None
    result: str
    dump: str


class _Result(msgspec.Struct):
    here: Here | None = None
    error: str | None = None


def play_apart(replay: Replay) -> Here:
    """What came of it. What the participant's code prints goes to stderr.

    Raises:
        CapsuleError: As Replay.play.
    """
    with tempfile.TemporaryDirectory(prefix="crunch_game-") as own:
        result, dump = Path(own, "result.json"), Path(own, "dump.txt")
        order = _Order(
            capsule=str(replay.capsule.path.absolute()),
            source=str(replay.source),
            is_path=isinstance(replay.source, Path),
            folder=str(replay.folder),
            imports=None if replay.imports is None else str(replay.imports),
            result=str(result),
            dump=str(dump),
        )
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), msgspec.json.encode(order).decode()],
            stdin=subprocess.DEVNULL,
            stdout=2,
            check=False,
        )
        if result.exists():
            told = msgspec.json.decode(result.read_bytes(), type=_Result)
            if told.here is None:
                raise CapsuleError(told.error or "it could not be played")
            return told.here
        text = dump.read_text(errors="replace") if dump.exists() else ""
        return _ended(replay.capsule, done.returncode, text, dumped(text))


def _ended(capsule: Capsule, code: int, dump: str, frames: list[Frame]) -> Here:
    """What came of it when the process did not come to tell."""
    if dump.startswith("Timeout"):
        budget = capsule.manifest.budget
        message = f"it did not come back, and could not be interrupted; the budget is {budget:g} s"
        status = Status.TIMEOUT
    else:
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        message, status = f"its process ended: {how}", Status.DIED
    stacks = [Stack(str(status), "", frames)] if frames else []
    return Here(status=status, kind=str(status), message=message, stacks=stacks)


def main() -> None:
    """Play what the arguments say; for a process of its own."""
    order = msgspec.json.decode(sys.argv[2], type=_Order)
    with suppress(Unavailable):
        become_oom_victim()
    with Path(order.dump).open("w") as dump:
        faulthandler.enable(dump)
        exits_are_told(dump)
        source = Path(order.source) if order.is_path else order.source
        imports = None if order.imports is None else Path(order.imports)
        replay = Replay(read(order.capsule), source, Path(order.folder), imports, dies=True, dump=dump)
        try:
            result = _Result(here=replay.play().here)
        except CapsuleError as error:
            result = _Result(error=str(error))
        except BaseException as error:  # noqa: BLE001 - an end without a word would be taken for the model's
            result = _Result(error=f"it could not be played: {describe_exception(error)}")
        part = Path(order.result).with_suffix(".part")
        part.write_bytes(msgspec.json.encode(result))
        part.replace(order.result)
    os._exit(0)  # whatever threads the model has started
