"""One frame for many models' processes, and what came of it for each: what the engine and the host tell each other."""

from __future__ import annotations

import itertools
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from crunch_game.hosts import framing
from crunch_game.hosts.shared import Shared

__all__ = ["Exchange", "Gone", "Link", "LinkWatcher", "Missed", "Result"]


@dataclass(frozen=True, slots=True)
class Missed:
    """The deadline passed. `busy_with` is set when the model was still at an earlier call, `busy_for` seconds long.

    `exchange` is the id of the exchange that it was at.
    """

    busy_with: str | None = None
    busy_for: float = 0.0
    exchange: int = 0


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


Result = tuple["Link", "framing.Frame | Missed | Gone", float]
"""A link, what came of it, and the seconds since the exchange began."""


class Exchange:
    """One frame for many models, and what each of them made of it by the deadline.

    Args:
        method: The method's name, for people.
        timeout: Seconds from the moment the engine takes it on.
        deliver: Called on the event loop with a batch of results, and whether it is the last.
        each: Whether results are delivered as they come; else all at once.
        shared: The file that the frames refer to, which goes to every model with its frame; or None.
        readers: Those who were sent it, and have not answered.
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
        self.began = self.deadline = 0.0
        self.waiting: set[Link] = set()
        self.results: list[Result] = []


class LinkWatcher(Protocol):
    """Who hears, on the event loop, of what happens outside an exchange."""

    def slow(self, links: Sequence[Link], exchange: Exchange) -> None:
        """They are still at a call whose time is nearly over. On the engine's thread, which must not wait."""

    def late(self, link: Link) -> None:
        """An answer came after its deadline; the model is free again."""

    def gone(self, link: Link, gone: Gone, *, told: bool) -> None:
        """The process is gone; `told` is whether an exchange that is waited for tells it too."""


class Link:
    """One model's process, as the engine sees it.

    Args:
        watcher: Hears of it.
        most: Bytes that a frame of its may have.

    Attributes:
        current: The exchange that the process was sent and has not answered, since `asked` on the monotonic clock;
            `expired` when nobody waits for that answer any more.
        queue: Exchanges that wait until the process is free, with the frame for it.
        unsent: What of the current frame the socket did not take yet.
        broken: How the process broke the protocol, or None.
        peak: The most memory, in bytes, that the process had used when it ended; 0 if that is not known.
        orphaned: Whether the fork server that it came from is gone.
        pidfd: What an orphaned process is watched by; None if no descriptor was left for that.
    """

    def __init__(self, watcher: LinkWatcher, most: int | None = None) -> None:
        self.watcher = watcher
        self.token = next(Exchange._ids)
        self.pid: int | None = None
        self.pidfd: int | None = None
        self.orphaned = False
        self.socket: socket.socket | None = None
        self.reader = framing.FrameReader(most)
        self.current: Exchange | None = None
        self.asked = 0.0
        self.expired = False
        self.queue: deque[tuple[Exchange, bytes]] = deque()
        self.unsent: memoryview | None = None
        self.broken: str | None = None
        self.peak = 0
        self.ended = False
