"""One model's process as the runner's instance: its logs, and what came of a call as a Reply."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
from pathlib import Path
from typing import Final

import anyio
import msgspec

from crunch_game.hosts import wire
from crunch_game.hosts.base import Call, Instance, LoadFailure, Reply
from crunch_game.hosts.exchange import Gone, Link, LinkWatcher, Missed
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Event

__all__ = ["Process"]

_APPENDED: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_faults = msgspec.msgpack.Decoder(tuple[str, str, str | None])


class Process(Instance):
    """One model's process. `home` is its temporary folder; `logs` is where its output is kept, if it is."""

    def __init__(self, submission: Submission, watcher: LinkWatcher, folder: Path, logs: Path | None) -> None:
        super().__init__(submission)
        self.link = Link(watcher)
        self.ended = anyio.Event()
        self.home = folder / f"{self.link.token}"
        self._keep = logs is not None
        # A model's old process may end after its new one has begun: only logs to be kept are shared by the two.
        stem = str(self.link.token) if logs is None else re.sub(r"[^\w.-]", "_", submission.id)
        self._logs = [(logs or folder) / f"{stem}.{name}.log" for name in ("out", "err")]
        self._read_to = self._logs[1].stat().st_size if self._logs[1].exists() else 0

    def open(self) -> tuple[socket.socket, list[int]]:
        """Our end of its channel, and the descriptors that it gets: the other end, stdout and stderr.

        Raises:
            OSError: The system has no more of them.
        """
        self.home.mkdir()
        ours, theirs = socket.socketpair()
        descriptors = [theirs.detach()]
        try:
            descriptors.extend(os.open(log, _APPENDED, 0o644) for log in self._logs)
        except OSError:
            ours.close()
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        return ours, descriptors

    def clean_up(self) -> None:
        """Remove its temporary folder, and the logs that nobody wants."""
        shutil.rmtree(self.home, ignore_errors=True)
        if not self._keep:
            for log in self._logs:
                log.unlink(missing_ok=True)

    def loaded(self, what: wire.Frame | Missed | Gone, timeout: float) -> tuple[str, ...]:
        """The warnings of a load that succeeded.

        Raises:
            LoadFailure: It did not.
        """
        if isinstance(what, wire.Frame) and what.kind == wire.READY:
            return tuple(str(warning) for warning in wire.decode(what.body))
        if isinstance(what, wire.Frame):
            raise LoadFailure(self._fault(what))
        if isinstance(what, Gone):
            raise LoadFailure(self.death(what, "while it was loading"))
        text = f"loading it took longer than {timeout:g} s (setup_timeout)"
        raise LoadFailure(Fault("timeout", text, stderr=self._stderr()))

    def reply(self, what: wire.Frame | Missed | Gone, elapsed: float, call: Call) -> Reply:
        """What the process made of a call."""
        if isinstance(what, wire.Frame):
            if what.kind != wire.VALUE:
                return self._refusal(what, elapsed)
            try:
                return Reply(Event.ANSWERED, wire.decode(what.body), None, elapsed)
            except wire.Undecodable as error:
                return Reply(Event.INVALID, None, Fault("invalid", f"the answer cannot be read: {error}"), elapsed)
        if isinstance(what, Missed):
            return Reply(Event.DEADLINE, None, _missed(what, call), elapsed)
        if what.unsent:
            text = f"its process ended before the call reached it (it was busy with {what.busy_with})"
            return Reply(Event.DROPPED, None, Fault("died", text, exit=what.exit), elapsed)
        return Reply(Event.DIED, None, self.death(what, f"during {what.busy_with}"), elapsed)

    def _refusal(self, frame: wire.Frame, elapsed: float) -> Reply:
        event = {wire.FAULT: Event.RAISED, wire.UNSUPPORTED: Event.UNSUPPORTED}.get(frame.kind, Event.INVALID)
        return Reply(event, None, self._fault(frame), elapsed)

    def _fault(self, frame: wire.Frame) -> Fault:
        try:
            kind, message, traceback = _faults.decode(frame.body)
        except msgspec.MsgspecError:
            kind, message, traceback = "invalid", "it answered with a message that cannot be read", None
        return Fault(kind, message, traceback, self._stderr() if frame.kind == wire.FAULT else None)

    def death(self, gone: Gone, when: str = "between two calls") -> Fault:
        """How and when the process ended."""
        if gone.reason is not None:
            return Fault("protocol", f"its process was ended {when}: {gone.reason}", None, self._stderr(), gone.exit)
        return Fault("died", f"its process ended {when}: {_exit(gone.exit)}", None, self._stderr(), gone.exit)

    def _stderr(self) -> str | None:
        text, self._read_to = _tail(self._logs[1], self._read_to)
        return text


def _tail(file: Path, start: int, most: int = 4096) -> tuple[str | None, int]:
    """The last lines of what was written to the file after `start`, and where the file ends."""
    try:
        with file.open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(start, end - most))
            text = stream.read(end - stream.tell()).decode(errors="replace")
    except OSError:
        return None, start
    return "\n".join(text.splitlines()[-10:]) or None, end


def _missed(missed: Missed, call: Call) -> Fault:
    if missed.busy_with is None:
        return Fault("timeout", f"no answer within {call.timeout:g} s")
    since = f"since {missed.busy_for:.3g} s"
    return Fault("timeout", f"not asked within {call.timeout:g} s: it is still busy with {missed.busy_with}, {since}")


def _exit(code: int | None) -> str:
    if code is None:
        return "how is not known"
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
