"""The models' processes: started, signalled and watched through the fork server, and without it once it is gone."""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from crunch_game.hosts import forkserver, output
from crunch_game.hosts.exchange import Link
from crunch_game.hosts.serverline import ServerLine

__all__ = ["Supervisor"]


class Supervisor:
    """Knows every link whose process has not ended; for the thread of the selector.

    Args:
        selector: Where the fork server, and what orphans are watched by, are registered.
        tell: Calls a function on the event loop.
        ended: Called with a link whose process is gone, and its exit code, or None if that is not known.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        tell: Callable[[Callable[[], None]], None],
        ended: Callable[[Link, int | None], None],
    ) -> None:
        self._selector = selector
        self._tell = tell
        self._ended = ended
        self._links: dict[int, Link] = {}
        self._line = ServerLine(selector, self._hear, self._lose)
        self._report: Callable[[forkserver.Report], None] = lambda report: None
        self._gone: Callable[[], None] = lambda: None
        self._is_over = False

    @property
    def links(self) -> list[Link]:
        """Those whose process has not ended."""
        return list(self._links.values())

    def serve(
        self, server: socket.socket, report: Callable[[forkserver.Report], None], gone: Callable[[], None]
    ) -> None:
        """Speak to this fork server from now on; `report` and `gone` are called on the event loop."""
        self._report, self._gone = report, gone
        self._line.connect(server)
        if self._is_over:
            self.give_up()

    def hang_up(self) -> None:
        """Hang up on the fork server: it ends every model's process, and itself."""
        self._line.close()

    def give_up(self) -> None:
        """Hang up for good: what was ordered is forgotten, and who serves hears of it, now or later."""
        self._is_over = True
        self._line.close()
        self._line.drop()
        self._tell(self._gone)

    def spawn(self, link: Link, descriptors: Sequence[int]) -> None:
        """Have a process forked for the link; it gets the descriptors: its channel's end, stdout and stderr."""
        self._links[link.token] = link
        self._line.order(forkserver.Spawn(link.token), descriptors)
        if not self._line.connected:
            self._ended(link, None)

    def kill(self, link: Link) -> None:
        """End the link's process."""
        if link.ended:
            return
        if not link.orphaned:
            self._line.order(forkserver.Kill(link.token))
            return
        assert link.pid is not None
        if _signal(link, 0):  # while it is there, its number is its group's
            with suppress(ProcessLookupError):
                os.killpg(link.pid, signal.SIGKILL)
            _signal(link, signal.SIGKILL)
        if link.pidfd is None:
            self._ended(link, None)  # nothing else will tell of it

    def look(self, links: Iterable[Link]) -> None:
        """Have the links' processes write to their stderr where they are."""
        for link in links:
            if link.ended:
                continue
            if link.orphaned:
                _signal(link, output.LOOK)
            else:
                self._line.order(forkserver.Look(link.token))

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

    def _hear(self, report: forkserver.Report) -> None:
        if isinstance(report, forkserver.Started):
            if report.token in self._links:
                self._links[report.token].pid = report.pid
        elif isinstance(report, forkserver.Exited):
            if report.token in self._links:
                self._links[report.token].peak = report.peak
                self._ended(self._links[report.token], report.code)
        else:
            callback = self._report
            self._tell(lambda: callback(report))

    def _lose(self) -> None:
        """Go on without the fork server: its children are watched, and ended, by descriptors of our own."""
        self._tell(self._gone)
        self.adopt()


def _signal(link: Link, number: int) -> bool:
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
