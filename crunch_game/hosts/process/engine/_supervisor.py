"""Has the fork server start and signal the models' processes, and hears of their end; or watches them itself."""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from crunch_game.hosts.process.child import DUMP_SIGNAL, PACKET, DumpFrames, Exited, Kill, Report, Spawn, Started
from crunch_game.hosts.process.engine._exchange import Link

_reports = msgspec.msgpack.Decoder(Report)
_encode = msgspec.msgpack.Encoder().encode


class Supervisor:
    """Knows every link whose process has not ended; for the thread of the selector.

    Args:
        selector: Where the fork server, and what orphans are watched by, are registered.
        on_loop: Calls a function on the event loop.
        ended: Called with a link whose process is gone, and its exit code, or None if that is not known.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        on_loop: Callable[[Callable[[], None]], None],
        ended: Callable[[Link, int | None], None],
    ) -> None:
        self._selector = selector
        self._on_loop = on_loop
        self._ended = ended
        self._links: dict[int, Link] = {}
        self._server: socket.socket | None = None
        self._orders: deque[tuple[bytes, list[int]]] = deque()
        """What was not sent to the fork server yet, with the descriptors that go along."""
        self._report: Callable[[Report | None], None] = lambda report: None
        self._given_up = False

    @property
    def links(self) -> list[Link]:
        """Those whose process has not ended."""
        return list(self._links.values())

    def serve(self, server: socket.socket, report: Callable[[Report | None], None]) -> None:
        """Speak to this fork server from now on; `report` is called on the event loop, with None once it is gone."""
        self._report = report
        server.setblocking(False)
        self._server = server
        self._selector.register(server, selectors.EVENT_READ, self._converse)
        if self._given_up:
            self.give_up()

    def hang_up(self) -> None:
        """Hang up on the fork server, and drop unsent orders: it ends every model's process, and itself."""
        if self._server is not None:
            self._selector.unregister(self._server)
            self._server.close()
            self._server = None
        self._drop_orders()

    def give_up(self) -> None:
        """Hang up for good: this fork server, like any that follows, is told gone."""
        self._given_up = True
        self.hang_up()
        self._pass_on(None)

    def spawn(self, link: Link, descriptors: Sequence[int]) -> None:
        """Have a process forked for the link; it gets the descriptors: its channel's end, stdout and stderr."""
        self._links[link.token] = link
        self._order(Spawn(link.token), descriptors)
        if self._server is None:
            self._ended(link, None)

    def kill(self, link: Link) -> None:
        """End the link's process."""
        if link.ended:
            return
        if not link.orphaned:
            self._order(Kill(link.token))
            return
        assert link.pid is not None
        if _signal_orphan(link, 0):  # while it is there, its number is its group's
            with suppress(ProcessLookupError):
                os.killpg(link.pid, signal.SIGKILL)
            _signal_orphan(link, signal.SIGKILL)
        if link.pidfd is None:
            self._ended(link, None)  # nothing else will tell of it

    def dump_frames(self, links: Iterable[Link]) -> None:
        """Have the links' processes write to their stderr where they are."""
        for link in links:
            if link.ended:
                continue
            if link.orphaned:
                _signal_orphan(link, DUMP_SIGNAL)
            else:
                self._order(DumpFrames(link.token))

    def adopt(self) -> None:
        """Watch the processes whose fork server is gone, so that they can be ended too."""
        for link in [link for link in self.links if link.pidfd is None]:
            if link.pid is None:
                self._ended(link, None)
                continue
            link.orphaned = True
            try:
                link.pidfd = os.pidfd_open(link.pid)
            except ProcessLookupError:
                self._ended(link, None)
            except OSError:
                continue  # no descriptor is left: its channel tells of its end
            else:
                self._selector.register(link.pidfd, selectors.EVENT_READ, lambda link=link: self._ended(link, None))

    def forget(self, link: Link) -> None:
        """Its process is gone."""
        self._links.pop(link.token, None)
        if link.pidfd is not None:
            self._selector.unregister(link.pidfd)
            os.close(link.pidfd)
            link.pidfd = None

    # The fork server: orders go out as it can take them, reports come in.

    def _order(self, message: Any, descriptors: Iterable[int] = ()) -> None:
        """Send a message, unless there is no fork server; its descriptors are closed then, or once it is sent."""
        self._orders.append((_encode(message), list(descriptors)))
        if self._server is None:
            self._drop_orders()
        self._flush()

    def _flush(self) -> None:
        while self._orders and self._server is not None:
            message, descriptors = self._orders[0]
            try:
                socket.send_fds(self._server, [message], descriptors)
            except BlockingIOError:
                self._selector.modify(self._server, selectors.EVENT_READ | selectors.EVENT_WRITE, self._converse)
                return
            except ConnectionError:
                self._lose()
                return
            self._orders.popleft()
            for descriptor in descriptors:
                os.close(descriptor)
        if self._server is not None and self._selector.get_key(self._server).events & selectors.EVENT_WRITE:
            self._selector.modify(self._server, selectors.EVENT_READ, self._converse)

    def _converse(self) -> None:
        """Send what waits, and take the reports that are here."""
        self._flush()
        while self._server is not None:
            try:
                message = self._server.recv(PACKET)
            except BlockingIOError:
                return
            except ConnectionError:
                message = b""
            if not message:
                self._lose()
                return
            self._hear(_reports.decode(message))

    def _hear(self, report: Report) -> None:
        if isinstance(report, Started):
            if report.token in self._links:
                self._links[report.token].pid = report.pid
        elif isinstance(report, Exited):
            if report.token in self._links:
                self._links[report.token].peak = report.peak
                self._ended(self._links[report.token], report.code)
        else:
            self._pass_on(report)

    def _pass_on(self, report: Report | None) -> None:
        listener = self._report  # another fork server's may have taken its place before the loop comes to this
        self._on_loop(lambda: listener(report))

    def _lose(self) -> None:
        """Go on without the fork server: its children are watched, and ended, by descriptors of our own."""
        self.hang_up()
        self._pass_on(None)
        self.adopt()

    def _drop_orders(self) -> None:
        for _, descriptors in self._orders:
            for descriptor in descriptors:
                os.close(descriptor)
        self._orders.clear()


def _signal_orphan(link: Link, number: int) -> bool:
    """Signal an orphaned process, and say whether it was there: by its number only where it has no descriptor."""
    assert link.pid is not None
    try:
        if link.pidfd is not None:
            signal.pidfd_send_signal(link.pidfd, number)
        else:
            os.kill(link.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
