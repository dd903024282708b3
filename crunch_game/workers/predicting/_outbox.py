"""Outbox: brings what a worker plays to the store, in its order, also when the store is away for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from queue import SimpleQueue

import anyio
from anyio.to_thread import run_sync as in_thread

from crunch_game._quantities import counted
from crunch_game.errors import StoreUnavailable
from crunch_game.events import JournalAside, JournalFull, StoreAway, StoreBack
from crunch_game.hosts.process.engine import loop_caller
from crunch_game.storage import GameLog, Store
from crunch_game.storage.journal import Journal, Write
from crunch_game.workers._base import Listener

SLOW = 1.0
"""Seconds that a game waits for a write, before it goes on."""
TOLD = 3.0
"""Seconds after which the author is told of a write that has no end."""
PAUSES = (0.25, 5.0)
"""Seconds between two tries to write to a store that is away: at first, and at most."""
LAST = 10.0
"""Seconds that a game which ends waits for a store that is away."""


class Outbox:
    """Keeps a worker's writes. Each is in the store, or in the journal, when `put` returns.

    All writes go through one thread, one after the other: so none overtakes another, whatever hangs. While the store is
    away, they wait in the journal; once it is back, `run` writes those first.

    Args:
        store: The store.
        tell: Called with StoreAway, StoreBack, JournalFull and JournalAside.

    Attributes:
        assure: Called before each write, on its thread: it raises if another worker has this one's place.
        journal: Where writes wait; None where what the store does not take is an error, as in a replay.
    """

    def __init__(self, store: Store, tell: Listener) -> None:
        self._store = store
        self._tell = tell
        self.assure: Callable[[], None] = lambda: None
        self.journal: Journal | None = None
        self._order = anyio.Lock()
        self._away: _Outage | None = None
        self._gone = anyio.Event()
        self._jobs: _Jobs | None = None

    async def recover(self, journal: Journal | None) -> None:
        """Write what an ended worker has left in a journal.

        Raises:
            StoreError: The store cannot be read or written.
            UsageError: The journal is not of this store.
        """
        if journal is not None and (news := await in_thread(self._recovered, journal)) is not None:
            self._tell(news)

    async def put(self, write: Write, take: Callable[[], GameLog] | None = None) -> bool:
        """Keep a write, behind all those before it. Returns False if it is lost, since the journal is full.

        Args:
            write: What is kept; nothing is done if it is empty.
            take: Called on another thread for its log.

        Raises:
            StoreError: It cannot be kept in any store; or, without a journal, it is not.
            UsageError: Another worker has this one's place.
        """
        attempt = _Attempt(self, write, take)
        kept = True
        async with self._order:
            if self.journal is None:
                await in_thread(attempt)
            else:
                with anyio.CancelScope(shield=True):
                    if self._away is not None or not await self._try(attempt):
                        kept = await self._keep(self.journal, attempt)
        return kept

    async def run(self) -> None:
        """Write what waits, whenever the store is back, until cancelled.

        Raises:
            StoreError: The store refuses a write.
            UsageError: Another worker has this one's place.
        """
        while True:
            await self._gone.wait()
            async with self._order:  # what is just put has its place
                away, journal = self._away, self.journal
            assert away is not None
            assert journal is not None
            await self._bring_back(away, journal)

    async def finish(self) -> None:
        """Wait, beside `run`, for a store that is away, but not for long."""
        with anyio.move_on_after(LAST):
            while self._away is not None:
                await self._away.over.wait()

    def close(self) -> str | None:
        """End the writing thread, and return what becomes of that which still waits; None if nothing does."""
        if self._jobs is not None:
            self._jobs.end()
        journal = self.journal
        if journal is None:
            return None
        journal.save_memory()
        count, lost, path = len(journal), journal.in_memory, journal.path
        journal.close()
        if not count:
            return None
        reason = None if self._away is None else self._away.reason
        parts = [reason or "the store does not answer"]
        if count > lost:
            parts.append(
                f"{counted(count - lost, 'write')} for it wait in {path}, and the next worker writes them first"
            )
        if lost:
            parts.append(f"{counted(lost, 'write')} that waited in memory are lost, since no disk took them either")
        return "; ".join(parts)

    def _recovered(self, journal: Journal) -> StoreBack | JournalAside | None:
        left = journal.left()
        if left is None:
            return None
        if left.is_in(self._store):
            journal.drop()
            return None
        if left.is_overtaken(self._store):
            return JournalAside(journal.put_aside(), left.count)
        self._drain(journal)
        return StoreBack((datetime.now(UTC) - left.since).total_seconds(), left.count)

    async def _try(self, work: _Attempt | Callable[[], None]) -> bool:
        """Have the work done on the writing thread. Returns False if the game goes on without.

        Raises:
            Exception: What it raised, unless the store is away for an attempt to write.
        """
        if self._jobs is None:
            self._jobs = _Jobs()
        job = self._jobs.begin(work)
        with anyio.move_on_after(SLOW):
            await job.over.wait()
        if not job.is_done:
            self._leave(_Outage(job))
            return False
        if isinstance(job.error, StoreUnavailable) and isinstance(work, _Attempt):
            self._leave(_Outage(None, str(job.error)))
            return False
        if job.error is not None:
            raise job.error
        return True

    def _leave(self, outage: _Outage) -> None:
        self._away = outage
        self._gone.set()

    async def _keep(self, journal: Journal, attempt: _Attempt) -> bool:
        """Put a write that the store did not take into the journal."""
        assert self._away is not None
        write = await in_thread(attempt.complete)
        if not write:
            return True
        kept = await in_thread(journal.append, write)
        attempt.is_kept = kept
        if not kept:
            self._away.reason = self._away.reason or self._away.so_far()
        self._tell_away(self._away)
        if not kept:
            self._away.lost += write.size
            if not self._away.is_full:
                self._away.is_full = True
                self._tell(JournalFull(self._away.lost))
        return kept

    def _tell_away(self, away: _Outage) -> None:
        """Tell why the store is away, if it is known, once."""
        if away.reason is not None and not away.is_told and self.journal is not None:
            away.is_told = True
            self._tell(StoreAway(away.reason, self.journal.where))

    async def _bring_back(self, away: _Outage, journal: Journal) -> None:
        """Write what waits, until nothing does."""
        if away.unfinished is not None:
            await self._see_through(away, away.unfinished, journal)
        pause, longest = PAUSES
        assert self._jobs is not None
        while True:
            job = self._jobs.begin(lambda: self._drain(journal, away))
            await job.over.wait()
            if job.error is None:
                async with self._order:
                    if not journal:
                        self._away, self._gone = None, anyio.Event()
                        break
            elif isinstance(job.error, StoreUnavailable):
                away.reason = str(job.error)
                self._tell_away(away)
                await anyio.sleep(pause)
                pause = min(2 * pause, longest)
            else:
                raise job.error
        away.over.set()
        if away.is_told:
            self._tell(StoreBack(time.monotonic() - away.since, away.written))
        if away.lost:
            self._tell(JournalFull(away.lost))

    async def _see_through(self, away: _Outage, job: _Job, journal: Journal) -> None:
        """Wait for a write that takes long: what is behind it cannot be written before."""
        with anyio.move_on_after(max(0.0, TOLD - SLOW)):
            await job.over.wait()
        if not job.is_done:
            away.reason = away.so_far()
            self._tell_away(away)
            await job.over.wait()
        if job.error is None:
            if isinstance(job.work, _Attempt) and job.work.complete() and job.work.is_kept:
                await in_thread(journal.done)
                away.written += 1
        elif not isinstance(job.error, StoreUnavailable):
            raise job.error
        else:
            away.reason = str(job.error)
            self._tell_away(away)

    def _drain(self, journal: Journal, away: _Outage | None = None) -> None:
        """Write what waits, the oldest first; on the writing thread."""
        while (write := journal.first()) is not None:
            self.assure()
            write.into(self._store)
            journal.done()
            if away is not None:
                away.written += 1

    def save(self, write: Write) -> None:
        """Write to the store itself, on the writing thread."""
        if write:
            self.assure()
            write.into(self._store)


class _Attempt:
    """A write that is brought to the store. Its log is taken by who needs it first: this, or the journal.

    Attributes:
        is_kept: Whether the journal has it.
    """

    def __init__(self, outbox: Outbox, write: Write, take: Callable[[], GameLog] | None) -> None:
        self._outbox = outbox
        self._write = write
        self._take = take
        self._lock = threading.Lock()
        self.is_kept = False

    def complete(self) -> Write:
        """Return the write with its log."""
        with self._lock:
            if self._take is not None:
                self._write = replace(self._write, log=self._take() or None)
                self._take = None
            return self._write

    def __call__(self) -> None:
        self._outbox.save(self.complete())


class _Outage:
    """A time in which the store is away.

    Attributes:
        unfinished: What the writing thread is still at; None if the store has said that it is away.
        reason: What it says; None as long as that is not known.
        since: When it began, in seconds of a clock that nobody sets.
        written: How many writes that waited are in the store.
        lost: How many rows and answers are lost.
        over: Set once the store is back, and has all that waited.
    """

    def __init__(self, unfinished: _Job | None, reason: str | None = None) -> None:
        self.unfinished = unfinished
        self.reason = reason
        self.since = time.monotonic()
        self.written = self.lost = 0
        self.is_told = self.is_full = False
        self.over = anyio.Event()

    def so_far(self) -> str:
        """What can be told of a store that has said nothing yet."""
        return f"a write has taken {time.monotonic() - self.since + SLOW:.1g} s so far"


class _Job:
    """Work for the writing thread.

    Attributes:
        over: Set once it is done.
        error: What it raised.
    """

    def __init__(self, work: Callable[[], None], tell: Callable[[Callable[[], None]], None]) -> None:
        self.work = work
        self.over = anyio.Event()
        self.error: BaseException | None = None
        self.is_done = False
        self._tell = tell

    def run(self) -> None:
        """Do it, on the thread."""
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            self.error = error
        self.is_done = True
        with suppress(RuntimeError):  # nobody waits any more: the event loop is closed
            self._tell(self.over.set)


class _Jobs:
    """The writing thread. It is none of anyio's: one that hangs must keep nobody from ending."""

    def __init__(self) -> None:
        self._tell = loop_caller()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        threading.Thread(target=self._serve, name="crunch_game outbox", daemon=True).start()

    def begin(self, work: Callable[[], None]) -> _Job:
        """Have it do this, after all that it has begun before."""
        job = _Job(work, self._tell)
        self._queue.put(job)
        return job

    def end(self) -> None:
        """Let it end, once it can."""
        self._queue.put(None)

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            job.run()
