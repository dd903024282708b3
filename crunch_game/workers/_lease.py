"""One worker of a kind on a store: who has the lease works, says so every few seconds, and gives it back at the end.

Whether a worker still lives is asked of the system where it can know: about this machine's processes. No clock can be
wrong about that. A worker of another machine, or container, lives as long as its lease changes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Lock, Thread
from uuid import uuid4

import anyio
from anyio.from_thread import BlockingPortal
from anyio.to_thread import run_sync as in_thread

from crunch_game.errors import StoreError, UsageError
from crunch_game.storage.base import Lease, Store
from crunch_game.workers._base import beside

BEAT = 5.0
"""Seconds from one sign of life to the next."""
MISSED = 3 * BEAT
"""Seconds without a sign of life after which nobody relies on it: neither the worker itself, nor who watches it."""
SILENCE = 30.0
"""Seconds after which a worker elsewhere, if it gives no sign of life, may have ended."""

logger = logging.getLogger("crunch_game")


@asynccontextmanager
async def leased(store: Store, kind: str) -> AsyncIterator[Hold]:
    """Hold the lease of a kind of worker ("predict" or "score") while the body runs.

    If somebody else gets it meanwhile, which takes that this process hangs for longer than SILENCE, the body is
    cancelled, and UsageError is raised in its place. A body that writes calls `Hold.assure` right before.

    Raises:
        UsageError: Another worker has the lease, or has got it.
        StoreError: The store cannot be read or written.
    """
    hold = Hold(store, kind)
    try:
        await hold.taken()
        async with beside(hold.until_lost):
            await hold.beating.wait()  # before a body that may block the event loop
            yield hold
    finally:
        if hold.is_adrift():  # nothing can be awaited: the event loop is closed, and this is thrown away
            hold.give_back()
        else:
            with anyio.CancelScope(shield=True):
                await in_thread(hold.give_back)


class Hold:
    """The lease of one worker, while it has it.

    Attributes:
        beating: Set once signs of life are given.
    """

    def __init__(self, store: Store, kind: str) -> None:
        self._store = store
        self._kind = kind
        self._token = uuid4().hex
        self._loop = _running_loop()
        self._lock = Lock()
        self._over = Event()
        self._renewed = 0.0
        self._is_lost = False
        self._lost: str | None = None
        self.beating = anyio.Event()

    def assure(self) -> None:
        """Make sure that the lease is still held. Blocks on the store if the last sign of life was too long ago.

        To be called on the thread that writes, right before: a process that hung may go on with a write of long ago.

        Raises:
            UsageError: Another worker has got it.
        """
        if _elapsed() - self._renewed > MISSED:
            self._renew()
        if self._lost is not None:
            raise UsageError(self._lost)

    async def taken(self) -> None:
        """Take the lease, or refuse to work beside who has it.

        Raises:
            UsageError: Another worker has it.
        """
        rival = await in_thread(self._take)
        if rival is not None and _lives(rival) is None and abs(datetime.now(UTC) - rival.beat) > _silence():
            # It is long ago only by a clock, which may differ from the other machine's, or was set meanwhile.
            logger.warning("%s gave no sign of life since %s; it is watched for %g s", *_shown(rival), MISSED)
            await anyio.sleep(MISSED)
            rival = await in_thread(self._take, rival)
        if rival is not None:
            raise UsageError(_refusal(rival))

    async def until_lost(self) -> None:
        """Give signs of life, from a thread, so that no code that blocks the event loop is in the way.

        Raises:
            UsageError: Another worker has got the lease.
        """
        lost = anyio.Event()
        async with BlockingPortal() as portal:
            # No thread of anyio's: if the event loop is closed, it must keep nobody from ending.
            tell = lambda: portal.start_task_soon(lost.set)  # noqa: E731
            Thread(target=self._beat, args=(tell,), name=f"lease of {self._kind}", daemon=True).start()
            self.beating.set()
            await lost.wait()
        raise UsageError(self._lost)

    def give_back(self) -> None:
        """Let the next worker have the lease. May be called at any time, and again."""
        self._over.set()
        with self._lock:
            if _holds.pop(self._token, None) is None:
                return
            self._lost = self._lost or f"this {self._kind} worker has ended, and stores nothing more"
            try:
                self._swap(None)
            except Exception as error:  # noqa: BLE001 - the worker's own end is what its caller must hear of
                logger.warning("the lease of this %s worker could not be given back: %s", self._kind, error)

    def is_adrift(self) -> bool:
        """Whether its event loop is closed or stands still, so that nobody can end it properly."""
        return self._loop is not None and not self._loop.is_running()

    def _take(self, silent: Lease | None = None) -> Lease | None:
        """Take the lease, and return None; or return the other worker's, unless that is the `silent` one, unchanged."""
        now = datetime.now(UTC)
        mine = Lease(self._kind, self._token, socket.gethostname(), os.getpid(), now, now, _process(os.getpid()))
        with self._lock:
            for _ in range(100):  # as often as others may come in between
                if self._over.is_set():
                    return None
                rival = self._store.lease(self._kind)
                if rival is not None and rival != silent and _lives(rival) is not False:
                    return rival
                _holds[self._token] = self  # first, or another thread would take it for that of an ended worker
                self._renewed = _elapsed()
                if self._replaced(rival, mine):
                    former = None if rival is None else _holds.get(rival.token)
                    if former is not None:  # its event loop stands still, and may go on
                        former._lose(mine)
                    return None
                del _holds[self._token]
        raise StoreError(f"{type(self._store).__name__}.swap_lease has refused a free lease 100 times")

    def _beat(self, tell: Callable[[], object]) -> None:
        is_told = False
        while not self._over.wait(BEAT):
            if self._loop is not None and self._loop.is_closed():
                self.give_back()
            elif not self.is_adrift():
                try:
                    self._renew()
                    is_told = False
                except Exception as error:  # noqa: BLE001 - `assure` raises it where the worker would write
                    if not is_told:
                        logger.warning("this %s worker cannot give a sign of life for now: %s", self._kind, error)
                    is_told = True
        if self._is_lost:
            with suppress(RuntimeError):  # there is nobody to tell: it has ended by itself
                tell()

    def _renew(self) -> None:
        with self._lock:
            if self._over.is_set():
                return
            began = _elapsed()
            if self._swap(datetime.now(UTC)):
                self._renewed = began
            else:
                self._lose(self._store.lease(self._kind))

    def _lose(self, rival: Lease | None) -> None:
        self._is_lost = True
        self._lost = _loss(self._kind, rival)
        self._over.set()

    def _swap(self, beat: datetime | None) -> bool:
        """Renew our lease, or delete it if there is no `beat`. Returns whether it was ours."""
        ours = self._store.lease(self._kind)
        if ours is None or ours.token != self._token:
            return False
        return self._replaced(ours, None if beat is None else replace(ours, beat=beat))

    def _replaced(self, before: Lease | None, after: Lease | None) -> bool:
        """Replace the lease. Returns whether that is done: a store that lost the answer, and asked again, says no."""
        if self._store.swap_lease(self._kind, before, after):
            return True
        return after is not None and self._store.lease(self._kind) == after


_holds: dict[str, Hold] = {}
"""Those of this process, by their tokens. A lease that says it is this process's, and is not here, is nobody's."""


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:  # trio: its `run` does not return before all tasks have ended
        return None


def _elapsed() -> float:
    """Seconds, which no setting of a clock changes, and in which time goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


def _silence() -> timedelta:
    return timedelta(seconds=SILENCE)


# Whether a worker lives.


def _lives(lease: Lease) -> bool | None:
    """Whether the worker of a lease lives; None if it cannot be known: on another machine, in another container."""
    own = _process(os.getpid())
    if lease.pid == os.getpid() and lease.process == own and lease.host == socket.gethostname():
        hold = _holds.get(lease.token)
        return hold is not None and not hold.is_adrift()
    if lease.host != socket.gethostname() or _place(lease.process) != _place(own):
        return None
    try:
        os.kill(lease.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's
    now = _process(lease.pid)
    return now is None or now == lease.process  # the same number may be another process's by now


def _process(pid: int) -> str | None:
    """Return what tells a process from all others: its machine's start, its namespace, and when in that it began.

    None where the system does not say. One that has ended, and whose parent has not looked yet, began never.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return None
    return f"{boot}/{namespace}/{'never' if fields[0] in 'ZX' else fields[19]}"


def _place(process: str | None) -> str | None:
    """Return where the numbers of processes mean the same: a machine from its start on, or a container."""
    return None if process is None else process.rpartition("/")[0]


# What people are told.


def _shown(lease: Lease) -> tuple[str, str]:
    """Return who a worker is, and when it last gave a sign of life."""
    return f"the {lease.kind} worker in process {lease.pid} on {lease.host}", f"{lease.beat:%Y-%m-%d %H:%M:%S} UTC"


def _who(lease: Lease) -> str:
    here = lease.token in _holds and lease.pid == os.getpid()
    place = "in this process" if here else f"process {lease.pid} on {lease.host}"
    return f"{place}, since {lease.since:%Y-%m-%d %H:%M:%S} UTC"


def _refusal(rival: Lease) -> str:
    said = f"the store has a {rival.kind} worker already ({_who(rival)}); end that one first, or use another store"
    if _lives(rival) is None:
        free = rival.beat + _silence()
        said += f". If it has ended without a word, its place is free from {free:%Y-%m-%d %H:%M:%S} UTC on"
    return said


def _loss(kind: str, rival: Lease | None) -> str:
    now = "another one had its place meanwhile" if rival is None else f"another one has its place ({_who(rival)})"
    return f"this {kind} worker hung for so long that {now}; it has stopped, and stores nothing more"
