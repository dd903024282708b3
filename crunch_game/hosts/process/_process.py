"""One model's process: turns what the engine got from it (a frame, a missed deadline, its end) into a Reply.

What a process says of itself is the word of a stranger, of any length and kind, and is read as that.
"""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import msgspec

from crunch_game.encoding import Undecodable, Unsendable, decode_answer, sent_table
from crunch_game.faults import shortened
from crunch_game.hosts._folders import discard
from crunch_game.hosts._turns import Missed
from crunch_game.hosts.base import Call, Instance, LoadFailure, Reply, Setup, Telling, ToldSoFar
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process._logs import LogRotator, file_name
from crunch_game.hosts.process.child import FAILED
from crunch_game.hosts.process.diagnosis import ExitDiagnosis, dump_in, fatal_error_in, last_lines
from crunch_game.hosts.process.engine import Exchange, Gone, Link, LinkWatcher, channel_pair
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import ANSWERED, State, Trigger

_MAX_STDERR_BYTES: Final = 32_768
"""Of stderr, and of stdout, that a fault is made of: a dump has a hundred frames, and names every extension module."""
_MAX_FAULT_BYTES: Final = 1 << 20
"""Of a frame besides an answer: faults and warnings are no answers, and are not limited as answers are."""
_MAX_WARNINGS: Final = 20
_MAX_KIND_CHARACTERS: Final = 100

# What the runner says of a model; no model says it of itself.
_RUNNERS_KINDS: Final = frozenset({"timeout", "died", "invalid", "unsupported", "protocol", *State})
_KINDS: Final = {framing.UNSUPPORTED: "unsupported", framing.UNSENDABLE: "invalid"}
_faults = msgspec.msgpack.Decoder(tuple[str, str, str | None])
_warnings = msgspec.msgpack.Decoder(list[str])
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError)  # ValueError: its text is no UTF-8


class _GotTo(msgspec.Struct, array_like=True):
    """How far it says that it has got, how long the last call took, and what there is to say of that."""

    done: int
    elapsed: float
    kind: int | None = None
    body: msgspec.Raw = msgspec.Raw(b"\xc0")


_told = msgspec.msgpack.Decoder(_GotTo)
_SAID: Final = (None, framing.VALUE, framing.FAULT, framing.UNSUPPORTED, framing.UNSENDABLE)


@dataclass
class _SlowCall:
    """A call that was nearly out of time: where its model was then is in the log, from `position` on.

    `frames` is what was read there, once it has been read.
    """

    exchange: int
    position: int
    when: str
    frames: str | None = None


class Process(Instance):
    """One model's process.

    Args:
        folder: Where its working folder is made.
        logs: Where its output is kept, or None for a temporary folder.
        answer_limit: Bytes that one answer may take.
    """

    def __init__(
        self,
        submission: Submission,
        setup: Setup,
        watcher: LinkWatcher,
        folder: Path,
        logs: Path | None,
        rotator: LogRotator,
        diagnosis: ExitDiagnosis,
        answer_limit: int,
    ) -> None:
        super().__init__(submission)
        self.link = Link(watcher, answer_limit + _MAX_FAULT_BYTES)
        self.ended = anyio.Event()
        self.home = folder / f"{self.link.token}"
        self._setup = setup
        self._keep = logs is not None
        self._rotator = rotator
        self._diagnosis = diagnosis
        self._answer_limit = answer_limit
        # A model's old process may end after its new one has begun: only logs to be kept are shared by the two.
        stem = str(self.link.token) if logs is None else file_name(submission.id)
        self._out, self._err = (rotator.watch((logs or folder) / f"{stem}.{name}.log") for name in ("out", "err"))
        self._read_to, self._printed_to = self._err.end(), self._out.end()
        self._slow: _SlowCall | None = None
        self._oom_killed: bool | None = None

    def open(self) -> tuple[socket.socket, list[int]]:
        """Our end of its channel, and the descriptors that it gets: the other end, stdout and stderr.

        Raises:
            OSError: The system has no more of them.
        """
        self.home.mkdir()
        ours, theirs = channel_pair()
        descriptors = [theirs.detach()]
        try:
            descriptors.extend(log.open() for log in (self._out, self._err))
        except OSError:
            ours.close()
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        return ours, descriptors

    def clean_up(self) -> None:
        """Remove its working folder, and the logs that nobody wants. Blocks for as long as the disk takes."""
        discard(self.home)
        for log in (self._out, self._err):
            self._rotator.release(log, remove=not self._keep)

    def note_slow(self, exchange: Exchange, after: float) -> None:
        """Head, in its log, the lines that will tell where it is after so many seconds.

        Not for the event loop: the disk may be slow.
        """
        text = f"[crunch_game] {exchange.method} has taken {after:.3g} s of its {exchange.timeout:g} s and is here:\n"
        self._slow = _SlowCall(exchange.id, self._err.append(text), f"here after {after:.3g} s")

    def loaded(self, what: framing.Frame | Missed[Exchange] | Gone, timeout: float) -> tuple[str, ...]:
        """The warnings of a load that succeeded.

        Raises:
            LoadFailure: It did not.
        """
        if isinstance(what, framing.Frame):
            if (warnings := warnings_in(what)) is not None:
                return warnings
            raise LoadFailure(self._fault(what))
        if isinstance(what, Gone):
            raise LoadFailure(self.death(what, "while it was loading"))
        text = f"loading it took longer than {timeout:g} s (setup_timeout)"
        raise LoadFailure(self._late(what, "timeout", text))

    def reply(self, what: framing.Frame | Missed[Exchange] | Gone, elapsed: float, call: Call) -> Reply:
        """What the process made of a call."""
        if isinstance(what, framing.Frame):
            if what.kind != framing.VALUE:
                trigger, fault = Trigger.RAISED if what.kind == framing.FAULT else Trigger.INVALID, self._fault(what)
                if what.kind == framing.UNSUPPORTED:
                    trigger, fault = self._setup.absence(call.method.name, fault.message)
                return Reply(trigger, None, fault, elapsed)
            try:
                framing.check_length(len(what.body), self._answer_limit)
                table = sent_table(what.body) if call.method.returns_table else None
                return Reply(ANSWERED, table or decode_answer(what.body), None, elapsed)
            except Unsendable as error:
                why = f"the answer cannot be sent: {error}"
            except Undecodable as error:
                why = f"the answer cannot be read: {shortened(str(error))}"
            return Reply(Trigger.INVALID, None, Fault("invalid", why), elapsed)
        if isinstance(what, Missed):
            return Reply(Trigger.DEADLINE, None, self._late(what, *what.kind_and_reason(call.timeout)), elapsed)
        if what.unsent:
            text = f"its process ended before the call reached it (it was busy with {what.busy_with})"
            return Reply(Trigger.DROPPED, None, Fault("died", text, exit=what.exit), elapsed)
        return Reply(Trigger.DIED, None, self.death(what, f"during {what.busy_with}"), elapsed)

    def told(self, what: framing.Frame | Missed[Exchange] | Gone, elapsed: float, telling: Telling) -> ToldSoFar:
        """How far the process has got with calls that it is told."""
        call = telling.calls[0]
        if not isinstance(what, framing.Frame) or what.kind != framing.VALUE:
            return ToldSoFar(None, self.reply(what, elapsed, call))
        try:
            said = _told.decode(what.body)
        except _UNREADABLE:
            said = _GotTo(-1, 0.0)
        if not 0 < said.done <= len(telling.calls) or said.kind not in _SAID:
            fault = Fault("invalid", "it answered with something else than how far it has got")
            return ToldSoFar(len(telling.calls), Reply(Trigger.INVALID, None, fault, elapsed))
        if said.elapsed > call.timeout:
            late = Fault("timeout", f"answered after {said.elapsed:.3g} s; the budget is {call.timeout:g} s")
            return ToldSoFar(said.done, Reply(Trigger.DEADLINE, None, late, said.elapsed), is_free=True)
        if said.kind is None:
            return ToldSoFar(said.done, None)
        return ToldSoFar(said.done, self.reply(framing.Frame(said.kind, what.call, said.body), said.elapsed, call))

    def _fault(self, frame: framing.Frame) -> Fault:
        kind, message, traceback = fault_in(frame)
        if frame.kind != framing.FAULT:
            return Fault(kind, message, traceback)
        return Fault(kind, message, traceback, last_lines(self._unread()), stdout=self._printed())

    def examine(self, gone: Gone) -> None:
        """Ask the system what it can say only while the end is fresh: whether memory had run out."""
        if self._oom_killed is None and gone.exit == -signal.SIGKILL and gone.reason is None:
            self._oom_killed = self._diagnosis.claim_oom_kill()

    def death(self, gone: Gone, when: str = "between two calls") -> Fault:
        """How and when the process ended."""
        self.examine(gone)
        raw, printed = self._unread(), self._printed()
        stderr, dump = last_lines(raw), dump_in(raw, fatal=gone.exit != -signal.SIGXCPU)
        frames = dump.frames and f"{dump.frames}\n{dump.headline}".rstrip() if dump is not None else None
        fatal_error = fatal_error_in(raw) if gone.exit == FAILED else None
        frames = fatal_error.frames if fatal_error is not None else frames
        if gone.reason is not None:
            return Fault("protocol", f"its process was ended {when}: {gone.reason}", frames, stderr, gone.exit, printed)
        how = self._diagnosis.explain(
            gone.exit,
            started=self.link.pid is not None,
            oom_killed=bool(self._oom_killed),
            peak=self.link.peak,
            stderr=stderr,
            dump=dump,
            fatal_error=fatal_error,
        )
        return Fault("died", f"its process ended {when}: {how}", frames, stderr, gone.exit, printed)

    def _late(self, missed: Missed[Exchange], kind: str, message: str) -> Fault:
        """The deadline passed: the fault tells where the model was shortly before."""
        slow, unread, printed = self._slow, self._unread(), self._printed()
        if slow is None or missed.at is None or slow.exchange != missed.at.id:
            return Fault(kind, message, None, last_lines(unread), stdout=printed)
        if slow.frames is None:
            start, age = slow.position, self._read_to - slow.position
            since = unread[-age:] if age <= len(unread) else self._err.read(start, start + _MAX_STDERR_BYTES)
            dump = dump_in(since)
            slow.frames = dump.frames and f"{dump.frames}\n({slow.when})" if dump is not None else None
        return Fault(kind, message, slow.frames, last_lines(unread), stdout=printed)

    def _printed(self) -> str | None:
        """The last lines that it wrote to stdout, if that was after the last fault."""
        since, self._printed_to = self._printed_to, self._out.end()
        if self._printed_to <= since:
            return None
        return last_lines(self._out.read(max(since, self._printed_to - _MAX_STDERR_BYTES), self._printed_to))

    def _unread(self) -> bytes:
        """The last that it wrote to stderr, if that was after the last fault."""
        since, self._read_to = self._read_to, self._err.end()
        return self._err.read(max(since, self._read_to - _MAX_STDERR_BYTES), self._read_to)


def fault_in(frame: framing.Frame) -> tuple[str, str, str | None]:
    """Kind, message and traceback of a frame that is no value, each of a length that can be kept and shown.

    The kind of what was raised is the name of an exception, never one of the runner's own words.
    """
    try:
        kind, message, traceback = _faults.decode(frame.body)
    except _UNREADABLE:
        return "invalid", "it answered with a message that cannot be read", None
    if frame.kind != framing.FAULT:
        kind = _KINDS.get(frame.kind, "invalid")
    elif kind in _RUNNERS_KINDS or not kind.isidentifier() or len(kind) > _MAX_KIND_CHARACTERS:
        kind = "Exception"
    return kind, shortened(message), traceback and shortened(traceback)


def warnings_in(frame: framing.Frame) -> tuple[str, ...] | None:
    """The first warnings of a model that says it is ready; None where it does not say so, or says no warnings."""
    if frame.kind != framing.READY:
        return None
    try:
        return tuple(map(shortened, _warnings.decode(frame.body)[:_MAX_WARNINGS]))
    except _UNREADABLE:
        return None
