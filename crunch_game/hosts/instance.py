"""One model's process as the runner's instance: its logs, and what came of a call as a Reply."""

from __future__ import annotations

import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

from crunch_game.faults import shortened
from crunch_game.hosts import channel, framing, lastwords, wire
from crunch_game.hosts.base import Call, Instance, LoadFailure, Reply, Setup
from crunch_game.hosts.claims import told_of, warnings_of
from crunch_game.hosts.deaths import Coroner
from crunch_game.hosts.exchange import Exchange, Gone, Link, LinkWatcher, Missed
from crunch_game.hosts.folders import discard
from crunch_game.hosts.forkserver import FAILED
from crunch_game.hosts.logs import Keeper, file_name
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import ANSWERED, Event

__all__ = ["Process"]

_MOST: Final = 32_768
"""Bytes of stderr that a fault is made of: a dump has a hundred frames, and names every extension module."""
_WORDS: Final = 1 << 20
"""Bytes that a frame may have besides an answer: faults and warnings are no answers."""


@dataclass
class _Look:
    """When the model was looked at, in which exchange, what its log's position was, and what was seen."""

    exchange: int
    position: int
    when: str
    seen: str | None = None


class Process(Instance):
    """One model's process.

    Args:
        submission: What it runs.
        setup: How it is made.
        watcher: Hears of it.
        folder: Where its temporary folder is made.
        logs: Where its output is kept, or None for the temporary folder.
        keeper: Keeps its logs short.
        coroner: Says what it died of.
        answer_limit: Bytes that one answer may take.
    """

    def __init__(
        self,
        submission: Submission,
        setup: Setup,
        watcher: LinkWatcher,
        folder: Path,
        logs: Path | None,
        keeper: Keeper,
        coroner: Coroner,
        answer_limit: int,
    ) -> None:
        super().__init__(submission)
        self.link = Link(watcher, answer_limit + _WORDS)
        self.ended = anyio.Event()
        self.home = folder / f"{self.link.token}"
        self._setup = setup
        self._keep = logs is not None
        self._keeper = keeper
        self._coroner = coroner
        self._answer_limit = answer_limit
        # A model's old process may end after its new one has begun: only logs to be kept are shared by the two.
        stem = str(self.link.token) if logs is None else file_name(submission.id)
        self._out, self._err = (keeper.keep((logs or folder) / f"{stem}.{name}.log") for name in ("out", "err"))
        self._read_to = self._err.end()
        self._look: _Look | None = None
        self._struck: bool | None = None

    def open(self) -> tuple[socket.socket, list[int]]:
        """Our end of its channel, and the descriptors that it gets: the other end, stdout and stderr.

        Raises:
            OSError: The system has no more of them.
        """
        self.home.mkdir()
        ours, theirs = channel.pair()
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
        """Remove its temporary folder, and the logs that nobody wants. Blocks for as long as the disk takes."""
        discard(self.home)
        for log in (self._out, self._err):
            self._keeper.let_go(log, remove=not self._keep)

    def note_slow(self, exchange: Exchange) -> None:
        """Say in its log why the lines follow that tell where it is. Not on the event loop: the disk may be slow."""
        after = time.monotonic() - exchange.began
        text = f"[crunch_game] {exchange.method} has taken {after:.3g} s of its {exchange.timeout:g} s and is here:\n"
        self._look = _Look(exchange.id, self._err.append(text), f"here after {after:.3g} s")

    def loaded(self, what: framing.Frame | Missed | Gone, timeout: float) -> tuple[str, ...]:
        """The warnings of a load that succeeded.

        Raises:
            LoadFailure: It did not.
        """
        if isinstance(what, framing.Frame):
            if (warnings := warnings_of(what)) is not None:
                return warnings
            raise LoadFailure(self._fault(what))
        if isinstance(what, Gone):
            raise LoadFailure(self.death(what, "while it was loading"))
        text = f"loading it took longer than {timeout:g} s (setup_timeout)"
        raise LoadFailure(self._late(what, text))

    def reply(self, what: framing.Frame | Missed | Gone, elapsed: float, call: Call) -> Reply:
        """What the process made of a call."""
        if isinstance(what, framing.Frame):
            if what.kind != framing.VALUE:
                return self._refusal(what, elapsed, call)
            try:
                framing.check_length(len(what.body), self._answer_limit)
                return Reply(ANSWERED, wire.decode(what.body), None, elapsed)
            except wire.Unsendable as error:
                return _invalid(f"the answer cannot be sent: {error}", elapsed)
            except wire.Undecodable as error:
                return _invalid(f"the answer cannot be read: {shortened(str(error))}", elapsed)
        if isinstance(what, Missed):
            return Reply(Event.DEADLINE, None, self._late(what, _missed(what, call)), elapsed)
        if what.unsent:
            text = f"its process ended before the call reached it (it was busy with {what.busy_with})"
            return Reply(Event.DROPPED, None, Fault("died", text, exit=what.exit), elapsed)
        return Reply(Event.DIED, None, self.death(what, f"during {what.busy_with}"), elapsed)

    def _refusal(self, frame: framing.Frame, elapsed: float, call: Call) -> Reply:
        fault = self._fault(frame)
        if frame.kind == framing.UNSUPPORTED:
            event, fault = self._setup.absence(call.method.name, fault.message)
        else:
            event = Event.RAISED if frame.kind == framing.FAULT else Event.INVALID
        return Reply(event, None, fault, elapsed)

    def _fault(self, frame: framing.Frame) -> Fault:
        kind, message, traceback = told_of(frame)
        stderr = lastwords.lines_of(self._unread()) if frame.kind == framing.FAULT else None
        return Fault(kind, message, traceback, stderr)

    def examine(self, gone: Gone) -> None:
        """Ask what can be asked only while its end is fresh."""
        if self._struck is None and gone.exit == -signal.SIGKILL and gone.reason is None:
            self._struck = self._coroner.memory.struck()

    def death(self, gone: Gone, when: str = "between two calls") -> Fault:
        """How and when the process ended."""
        self.examine(gone)
        raw = self._unread()
        stderr, dump = lastwords.lines_of(raw), lastwords.dump_of(raw, fatal=gone.exit != -signal.SIGXCPU)
        frames = dump.frames and f"{dump.frames}\n{dump.headline}".rstrip() if dump is not None else None
        farewell = lastwords.farewell_of(raw) if gone.exit == FAILED else None
        frames = farewell.frames if farewell is not None else frames
        if gone.reason is not None:
            return Fault("protocol", f"its process was ended {when}: {gone.reason}", frames, stderr, gone.exit)
        how = self._coroner.verdict(
            gone.exit,
            started=self.link.pid is not None,
            struck=bool(self._struck),
            peak=self.link.peak,
            stderr=stderr,
            dump=dump,
            farewell=farewell,
        )
        return Fault("died", f"its process ended {when}: {how}", frames, stderr, gone.exit)

    def _late(self, missed: Missed, message: str) -> Fault:
        """The deadline passed: where it was shortly before."""
        look = self._look if self._look is not None and self._look.exchange == missed.exchange else None
        unread = self._unread()
        if look is not None and look.seen is None:
            age = self._read_to - look.position
            since = unread[-age:] if age <= len(unread) else self._err.read(look.position, look.position + _MOST)
            dump = lastwords.dump_of(since)
            look.seen = dump.frames and f"{dump.frames}\n({look.when})" if dump is not None else None
        kind = "timeout" if missed.busy_with is None else "busy"
        return Fault(kind, message, look.seen if look is not None else None, lastwords.lines_of(unread))

    def _unread(self) -> bytes:
        """The last that it wrote to stderr, if that was after the last fault."""
        since, self._read_to = self._read_to, self._err.end()
        return self._err.read(max(since, self._read_to - _MOST), self._read_to)


def _invalid(message: str, elapsed: float) -> Reply:
    return Reply(Event.INVALID, None, Fault("invalid", message), elapsed)


def _missed(missed: Missed, call: Call) -> str:
    if missed.busy_with is None:
        return f"no answer within {call.timeout:g} s"
    return f"not asked within {call.timeout:g} s: it has been busy with {missed.busy_with} for {missed.busy_for:.3g} s"
