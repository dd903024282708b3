"""One call's frames and results between the engine's thread and the event loop.

`Exchange` and `Link` are the engine's, `Results` is the event loop's.
"""

from __future__ import annotations

import itertools
import math
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol, Self

import anyio

from crunch_game.hosts._turns import Missed, Turns
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process._shared import Shared

_SO_PASSRIGHTS: Final = 83


@dataclass(frozen=True, slots=True)
class Gone:
    """The process is gone.

    Attributes:
        exit: Its exit code, negative for a signal, or None if that is not known.
        reason: How it broke the protocol before, or None.
        unsent: Whether the call had not reached it yet.
        busy_with: The method that it was busy with, or None.
    """

    exit: int | None
    reason: str | None = None
    unsent: bool = False
    busy_with: str | None = None


Result = tuple["Link", "framing.Frame | Missed[Exchange] | Gone", float]
"""A link, what came of the exchange there, and the seconds since its budget began there."""


class Exchange:
    """One frame for many models, and what each of them made of it by the deadline.

    Args:
        method: The method's name, for people.
        timeout: Seconds that each link has, from the moment when its budget begins there: see Turns.
        deliver: Called on the event loop with a batch of results, and whether it is the last.
        each: Whether results are delivered as they come; else all at once.

    Attributes:
        waiting: The links whose result is not known yet, each with its frame.
        results: Those that are not delivered yet.
        shared: The file that the frames refer to, which goes to every model with its frame; or None.
        readers: The links that were sent that file, and have not answered.
        deadline: When the budget is over wherever it began at once; minus infinity if it did so nowhere.
    """

    _ids = itertools.count(1)

    def __init__(
        self, method: str, timeout: float, deliver: Callable[[list[Result], bool], None], *, each: bool = False
    ) -> None:
        self.id = next(self._ids)
        self.method = method
        self.timeout = timeout
        self.each = each
        self.deliver = deliver
        self.shared: Shared | None = None
        self.readers: set[Link] = set()
        self.deadline = -math.inf
        self.waiting: dict[Link, bytes] = {}
        self.results: list[Result] = []


class LinkWatcher(Protocol):
    """Who hears, on the event loop, of what happens outside an exchange."""

    def slow(self, links: Sequence[Link], exchange: Exchange, seconds: float) -> None:
        """They are still at a call after so many seconds: its time is nearly over.

        Called on the engine's thread, which must not wait.
        """

    def late(self, link: Link) -> None:
        """An answer came after its deadline; the model is free again."""

    def gone(self, link: Link, gone: Gone, *, told: bool) -> None:
        """The process is gone; `told` is whether an exchange that is waited for tells it too."""


class Link:
    """One model's process, as the engine sees it.

    Args:
        max_frame_bytes: What a frame of its may have; MAX_FRAME unless given.

    Attributes:
        turns: The exchanges that the process is at, or that wait until it is free.
        look_by: When the engine looks at it for a budget that began later than its exchange; infinity if it need not.
        unsent: What of the running exchange's frame the socket did not take yet.
        broken: How the process broke the protocol, or None.
        peak: The most memory, in bytes, that the process had used when it ended; 0 if that is not known.
        orphaned: Whether the fork server that it came from is gone.
        pidfd: What an orphaned process is watched by; None if no descriptor was left for that.
    """

    def __init__(self, watcher: LinkWatcher, max_frame_bytes: int | None = None) -> None:
        self.watcher = watcher
        self.token = next(Exchange._ids)
        self.pid: int | None = None
        self.pidfd: int | None = None
        self.orphaned = False
        self.socket: socket.socket | None = None
        self.reader = framing.FrameReader(max_frame_bytes)
        self.turns: Turns[Exchange] = Turns()
        self.look_by = math.inf
        self.unsent: memoryview | None = None
        self.broken: str | None = None
        self.peak = 0
        self.ended = False


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a model's channel: the coordinator's, and the model's.

    Where the kernel can (Linux 6.16 and later), nobody can send descriptors to the coordinator. It asks for none, so
    they would be closed when they arrive, and closing may take as long as their sender likes: a TCP connection with
    unsent data lingers, and with it the thread that reads all models' answers.
    """
    ours, theirs = socket.socketpair()
    with suppress(OSError):
        ours.setsockopt(socket.SOL_SOCKET, _SO_PASSRIGHTS, 0)
    return ours, theirs


class Results:
    """An exchange's results as they reach the event loop, batch by batch."""

    def __init__(self, method: str, timeout: float, *, each: bool) -> None:
        self.exchange = Exchange(method, timeout, self._deliver, each=each)
        self.complete = False
        self._batches: deque[list[Result]] = deque()
        self._news = anyio.Event()
        self._take: Callable[[list[Result]], None] = self._batches.append

    def _deliver(self, batch: list[Result], last: bool) -> None:
        self._take(batch)
        self.complete = last
        self._news.set()

    async def wait(self) -> None:
        """Wait until there are some, or the last have been taken."""
        if not self._batches and not self.complete:
            self._news = anyio.Event()
            await self._news.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Result]:
        if not self._batches:
            if self.complete:
                raise StopAsyncIteration
            await self.wait()
        return self._batches.popleft()

    def give_up(self, take: Callable[[list[Result]], None]) -> None:
        """Take no more results: those that are left, and those that still come, are given to `take`."""
        self._take = take
        while self._batches:
            take(self._batches.popleft())


def loop_caller() -> Callable[[Callable[[], None]], None]:
    """How another thread makes this event loop, asyncio's or trio's, call a function soon."""
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon

    def call_soon(function: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(function)

    return call_soon
