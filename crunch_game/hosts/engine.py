"""One selector on a thread of its own: writes a round's frame to every model, collects answers and deadlines.

It wakes the event loop once per round, so that a busy loop spoils nobody's budget, and it takes what has arrived
when a deadline is noticed as in time, so that nobody pays for the coordinator's own lateness. Only this thread
touches the sockets; the event loop's side hands it functions to run (`Engine.do`).
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from crunch_game.errors import CrunchGameError
from crunch_game.faults import said
from crunch_game.hosts import framing
from crunch_game.hosts.deadlines import Deadlines
from crunch_game.hosts.exchange import Exchange, Gone, Link, Missed
from crunch_game.hosts.processes import is_exiting
from crunch_game.hosts.supervisor import Supervisor

__all__ = ["Engine"]

logger = logging.getLogger("crunch_game")

_CHUNK: Final = 1 << 16
_BLOCKED: Final = 0.1
"""Seconds that the event loop may take to hear of a result before its author is told."""


class Engine:
    """The thread. `wake(function)` must make the event loop call the function soon, from any thread."""

    def __init__(self, wake: Callable[[Callable[[], None]], None], on_blocked: Callable[[float], None]) -> None:
        self._wake = wake
        self._on_blocked = on_blocked
        self._selector = selectors.DefaultSelector()
        self._tasks: deque[Callable[[], None]] = deque()
        self._bell, self._ear = socket.socketpair()
        for end in (self._bell, self._ear):
            end.setblocking(False)
        self._deadlines = Deadlines()
        self.processes = Supervisor(self._selector, self._tell, self._end)
        """The models' processes; for the engine's thread, by way of `do`."""
        self._stopping = False
        self._failure: CrunchGameError | None = None
        self._thread = threading.Thread(target=self._run, name="crunch_game engine", daemon=True)
        self._selector.register(self._ear, selectors.EVENT_READ, self._hear)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; blocks for the moment that it takes."""
        self.do(self._halt)
        self._thread.join()

    def do(self, task: Callable[[], None]) -> None:
        """Run the function on the engine's thread, soon. From any thread."""
        self._tasks.append(task)
        with suppress(OSError):  # it rings already, or the thread has just ended
            self._bell.send(b"\0")

    def check(self) -> None:
        """Must be asked by whoever has something done, and again when it is told what came of it.

        Raises:
            CrunchGameError: The engine has failed. Every process has been said to be gone.
        """
        if self._failure is not None:
            raise self._failure

    # The rest runs on the engine's thread, by way of `do`.

    def spawn(self, link: Link, channel: socket.socket, descriptors: Sequence[int]) -> None:
        """Have a process forked for the link; it gets the descriptors: its channel's end, stdout and stderr."""
        channel.setblocking(False)
        link.socket = channel
        self._selector.register(channel, selectors.EVENT_READ, link)
        self.processes.spawn(link, descriptors)

    def ask(self, exchange: Exchange, frames: Mapping[Link, bytes]) -> None:
        """Begin an exchange: each link gets its frame as soon as it is free."""
        exchange.began = now = time.monotonic()
        exchange.deadline = now + exchange.timeout
        exchange.waiting.update(frames)
        self._deadlines.add(exchange)
        for link, frame in frames.items():
            if link.ended:
                self._settle(link, exchange, Gone(None, unsent=True), now)
            elif link.current is None:
                self._send(link, exchange, frame, now)
            else:
                link.queue.append((exchange, frame))
        if not frames:
            self._deliver(exchange)

    def abandon(self, exchange: Exchange) -> None:
        """Nobody waits for the exchange any more: answers that still come are late ones."""
        for link in exchange.waiting:
            self._expire(link, exchange)
        exchange.waiting.clear()
        if exchange.results:
            self._deliver(exchange)

    def _halt(self) -> None:
        self._stopping = True

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:
            logger.exception("the engine of crunch_game failed; rounds cannot go on")
            self._fail(error)
        finally:
            self._release()

    def _fail(self, error: BaseException) -> None:
        """Say that every process is gone, those too that are still asked for, until the author leaves the runner."""
        self._failure = CrunchGameError(
            f"the thread that speaks to the models failed ({said(error)}); leave this runner and begin another"
        )
        self._give_up(str(self._failure))
        self._ear.setblocking(True)
        while not self._stopping:
            while self._tasks:
                with suppress(Exception):
                    self._tasks.popleft()()
            if not self._stopping:
                self._hear()

    def _release(self) -> None:
        self._give_up("the runner was left")
        self._selector.close()
        self._bell.close()
        self._ear.close()

    def _give_up(self, reason: str) -> None:
        """Let go of the fork server and of every process: who still waits for one must not wait for ever."""
        self.processes.give_up()
        for link in self.processes.links:
            link.broken = link.broken or reason
            self._hang_up(link)  # to read once more may be what fails
            self._end(link, None)

    def _turn(self) -> None:
        self._dispatch(0.0 if self._tasks else self._deadlines.ahead())
        if self._deadlines.overdue():
            self._dispatch(0.0)  # what has arrived by now is in time
            while exchange := self._deadlines.overdue():
                self._miss(exchange)
        while self._tasks:
            self._tasks.popleft()()

    def _dispatch(self, timeout: float | None) -> None:
        ready = self._selector.select(timeout)
        now = time.monotonic()  # what is ready had arrived by now
        partial: dict[int, Exchange] = {}
        for key, mask in ready:
            link = key.data
            if not isinstance(link, Link):
                link()
                continue
            if mask & selectors.EVENT_WRITE:
                self._flush(link)
            if mask & selectors.EVENT_READ:
                for exchange in self._read(link, now):
                    partial[exchange.id] = exchange
        for exchange in partial.values():
            if exchange.results and exchange.waiting:
                self._deliver(exchange)

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            self._ear.recv(4096)

    # Calls.

    def _send(self, link: Link, exchange: Exchange, frame: bytes | memoryview, now: float) -> None:
        link.current, link.asked, link.expired = exchange, now, False
        if link.socket is None:
            return  # it is ending; its exit settles what it was asked
        try:
            if exchange.shared is None:
                sent = link.socket.send(frame)
            else:
                exchange.readers.add(link)
                sent = socket.send_fds(link.socket, [frame], [exchange.shared.fileno()])
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            self._break(link, None)
            return
        if sent < len(frame):
            link.unsent = memoryview(frame)[sent:]
            self._selector.modify(link.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, link)

    def _flush(self, link: Link) -> None:
        """Write what the socket did not take before."""
        if link.socket is None or link.unsent is None or link.current is None:
            return
        unsent, link.unsent, expired = link.unsent, None, link.expired
        self._selector.modify(link.socket, selectors.EVENT_READ, link)
        self._send(link, link.current, unsent, link.asked)
        link.expired = expired

    def _read(self, link: Link, now: float) -> Iterable[Exchange]:
        """Take what has arrived; the exchanges to deliver from early are returned."""
        touched: list[Exchange] = []
        try:
            while link.socket is not None:
                data = link.socket.recv(_CHUNK)
                if not data:
                    self._break(link, None)
                    break
                for frame in link.reader.feed(data):
                    exchange = self._take(link, frame, now)
                    if exchange is not None:
                        touched.append(exchange)
                if len(data) < _CHUNK:
                    break
        except BlockingIOError:
            pass
        except ConnectionError:
            self._break(link, None)
        except framing.ProtocolError as error:
            self._break(link, str(error))
        return touched

    def _take(self, link: Link, frame: framing.Frame, now: float) -> Exchange | None:
        """One answer; its exchange if that wants results as they come."""
        exchange = link.current
        if exchange is None or frame.call != exchange.id or link.unsent is not None:
            raise framing.ProtocolError("it answered a call that it was not asked")
        link.current = None
        if exchange.shared is not None:
            self._has_read(link, exchange)
        if link.expired:
            self._tell(lambda: link.watcher.late(link))
            exchange = None
        else:
            self._settle(link, exchange, frame, now)
        if link.queue:
            self._send(link, *link.queue.popleft(), now)
        return exchange if exchange is not None and exchange.each else None

    def _settle(self, link: Link, exchange: Exchange, what: framing.Frame | Missed | Gone, now: float) -> None:
        waiting = exchange.waiting
        if link not in waiting:
            return
        waiting.remove(link)
        exchange.results.append((link, what, now - exchange.began))
        if not waiting:
            self._deliver(exchange)

    def _has_read(self, link: Link, exchange: Exchange) -> None:
        """One reader less of what the exchange shares; who is late reads on after everyone else's answer."""
        exchange.readers.discard(link)
        if not exchange.readers and not exchange.waiting:
            exchange.shared = None

    def _miss(self, exchange: Exchange) -> None:
        now = time.monotonic()
        for link in list(exchange.waiting):
            busy = link.current
            if busy in (None, exchange):
                missed = Missed(exchange=exchange.id)
            else:
                missed = Missed(busy.method, now - link.asked, busy.id)
            self._expire(link, exchange)
            self._settle(link, exchange, missed, now)

    def _expire(self, link: Link, exchange: Exchange) -> None:
        if link.current is exchange:
            link.expired = True
        else:
            link.queue = deque(waiting for waiting in link.queue if waiting[0] is not exchange)

    def _deliver(self, exchange: Exchange) -> None:
        batch, exchange.results = exchange.results, []
        last = not exchange.waiting
        if last and not exchange.readers:
            exchange.shared = None
        self._tell(lambda: exchange.deliver(batch, last))

    def _tell(self, function: Callable[[], None]) -> None:
        posted = time.monotonic()

        def told() -> None:
            late = time.monotonic() - posted
            function()
            if late > _BLOCKED:
                self._on_blocked(late)

        with suppress(RuntimeError):  # the event loop is closed: nobody is left to be told
            self._wake(told)

    # Processes.

    def _break(self, link: Link, reason: str | None) -> None:
        """The channel is of no more use. That alone is no proof of death: the process is ended."""
        if reason is None and link.pid is not None and not is_exiting(link.pid):
            reason = "it closed its connection to the game"
        link.broken = reason
        self._hang_up(link)
        self.processes.kill(link)

    def _hang_up(self, link: Link) -> None:
        if link.socket is not None:
            self._selector.unregister(link.socket)
            link.socket.close()
            link.socket = None

    def _end(self, link: Link, code: int | None) -> None:
        now = time.monotonic()
        self._read(link, now)  # an answer that was given before the end counts
        if link.ended:
            return
        link.ended = True
        self._hang_up(link)
        self.processes.forget(link)
        current, queue = link.current, link.queue
        link.current, link.queue = None, deque()
        if current is not None:
            self._has_read(link, current)
        told = current is not None and not link.expired
        gone = Gone(code, link.broken, busy_with=current.method if current is not None else None)
        if current is not None and told:
            self._settle(link, current, gone, now)
        for exchange, _ in queue:
            self._settle(link, exchange, replace(gone, unsent=True), now)
        self._tell(lambda: link.watcher.gone(link, gone, told=told))
