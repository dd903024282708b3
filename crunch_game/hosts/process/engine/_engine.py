"""The engine: one thread with one selector that writes a round's frame to every model and collects the answers.

It wakes the event loop once per round, so that code that blocks the loop spoils nobody's budget. What has arrived when
it notices a deadline is in time, so that nobody pays for the coordinator's own lateness. Only this thread touches the
sockets; the event loop hands it functions to run (`Engine.do`).
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from crunch_game.errors import CrunchGameError
from crunch_game.faults import describe_exception
from crunch_game.hosts._turns import Missed
from crunch_game.hosts.process import _framing as framing
from crunch_game.hosts.process.child import is_exiting
from crunch_game.hosts.process.engine._deadlines import Deadlines
from crunch_game.hosts.process.engine._exchange import Exchange, Gone, Link
from crunch_game.hosts.process.engine._supervisor import Supervisor

logger = logging.getLogger("crunch_game")

_READ_BYTES: Final = 1 << 16
_BLOCKED_SECONDS: Final = 0.1
"""How long the event loop may take to hear of a result before its author is told."""


class Engine:
    """The thread, which begins with this object.

    Args:
        call_soon: Makes the event loop call a function soon, from any thread.
        on_blocked: Called on the event loop with the seconds that it took to hear of a result, if they are many.
        clock: Counts seconds.
    """

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], None],
        on_blocked: Callable[[float], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call_soon = call_soon
        self._on_blocked = on_blocked
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._tasks: deque[Callable[[], None]] = deque()
        # A byte in this pair ends the selector's wait, so that a task is not left until the next answer.
        self._bell, self._ear = socket.socketpair()
        for end in (self._bell, self._ear):
            end.setblocking(False)
        self._deadlines = Deadlines()
        self.processes = Supervisor(self._selector, self._on_loop, self._end)
        """The models' processes; for the engine's thread, by way of `do`."""
        self._stopping = False
        self._failure: CrunchGameError | None = None
        self._selector.register(self._ear, selectors.EVENT_READ, self._hear)
        self._thread = threading.Thread(target=self._run, name="crunch_game engine", daemon=True)
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
        """Raise if the engine has failed.

        Call it before handing over work, and again when the result is here: a failed engine says of every process that
        it is gone, which must not be taken for the models' own end.

        Raises:
            CrunchGameError: The engine has failed.
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

    def ask(self, exchange: Exchange, frames: dict[Link, bytes]) -> None:
        """Begin an exchange: each link gets its frame as soon as it is free. The dict is the exchange's from now on."""
        now = self._clock()
        self._begin(exchange, frames, now)
        for link, frame in list(frames.items()):
            if link.ended:
                self._settle(link, exchange, Gone(None, unsent=True), 0.0)
            elif link.turns.add(exchange, now):
                self._send(link, exchange, frame)

    def ask_together(
        self, exchanges: Sequence[Exchange], frames: Sequence[dict[Link, bytes]], whole: dict[Link, bytes]
    ) -> None:
        """Begin exchanges with the same links, which work through them in order.

        Args:
            exchanges: What each link is asked, in this order.
            frames: Those of each exchange, for links that are not free.
            whole: For each link that is free, the one frame with all of them.
        """
        now = self._clock()
        self._begin(exchanges[0], frames[0], now)
        for exchange, own in zip(exchanges[1:], frames[1:], strict=True):
            exchange.waiting = own
            if not own:
                self._deliver(exchange)
        for link, frame in whole.items():
            if link.ended:
                for exchange in exchanges:
                    self._settle(link, exchange, Gone(None, unsent=True), 0.0)
            elif link.turns.add_together(exchanges, now):
                self._send(link, exchanges[0], frame)

    def _begin(self, exchange: Exchange, frames: dict[Link, bytes], now: float) -> None:
        exchange.waiting = frames
        self._deadlines.begin(exchange, now)
        if not frames:
            self._deliver(exchange)

    def abandon(self, exchanges: Sequence[Exchange]) -> None:
        """Nobody waits for the exchanges any more: answers that still come are late ones."""
        now = self._clock()
        for exchange in exchanges:
            waiting, exchange.waiting = exchange.waiting, {}
            for link in waiting:
                link.turns.expire(exchange, now)
                if link.turns.queue:
                    self._deadlines.watch(link)
            if exchange.results:
                self._deliver(exchange)

    # The thread.

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        except BaseException as error:
            logger.exception("the engine of crunch_game failed; rounds cannot go on")
            self._fail(error)
        finally:
            self._let_go_of_all("the runner was left")
            self._selector.close()
            self._bell.close()
            self._ear.close()

    def _halt(self) -> None:
        self._stopping = True

    def _turn(self) -> None:
        first = self._deadlines.first()
        seconds = None if first is None else max(0.0, first - self._clock())
        self._dispatch(0.0 if self._tasks else seconds)
        if first is not None and first <= (now := self._clock()):
            self._dispatch(0.0)  # what has arrived by now is in time
            for links, exchange, is_over in self._deadlines.looked_at(now):
                if is_over:
                    for link in links:
                        self._miss(link, exchange)
                elif links:
                    links[0].watcher.slow(links, exchange, now - links[0].turns.since)
        while self._tasks:
            self._tasks.popleft()()

    def _dispatch(self, timeout: float | None) -> None:
        """Wait for what arrives, and take it."""
        ready = self._selector.select(timeout)
        now = self._clock()  # what is ready had arrived by now
        touched: dict[int, Exchange] = {}
        for key, mask in ready:
            link = key.data
            if not isinstance(link, Link):
                link()
                continue
            if mask & selectors.EVENT_WRITE:
                self._flush(link)
            if mask & selectors.EVENT_READ:
                self._read(link, now, touched)
        self._deliver_early(touched)

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            self._ear.recv(4096)

    def _miss(self, link: Link, exchange: Exchange) -> None:
        """The exchange's budget is over at this link; with that the next one's begins."""
        now = self._clock()
        elapsed = now - link.turns.since
        self._settle(link, exchange, link.turns.expire(exchange, now), elapsed)
        if link.turns.queue:
            self._deadlines.watch(link)

    def _fail(self, error: BaseException) -> None:
        """Say that every process is gone, those too that are asked for later: nobody must wait for a dead thread."""
        why = describe_exception(error)
        self._failure = CrunchGameError(
            f"the thread that speaks to the models failed ({why}); leave this runner and begin another"
        )
        self._let_go_of_all(str(self._failure))
        self._ear.setblocking(True)
        while not self._stopping:
            while self._tasks:
                with suppress(Exception):
                    self._tasks.popleft()()
            if not self._stopping:
                self._hear()

    def _let_go_of_all(self, reason: str) -> None:
        """Let go of the fork server and of every process: who still waits for one must not wait for ever."""
        self.processes.give_up()
        for link in self.processes.links:
            link.broken = link.broken or reason
            self._hang_up(link)  # to read once more may be what fails
            self._end(link, None)

    # Calls.

    def _send(self, link: Link, exchange: Exchange, frame: bytes | memoryview) -> None:
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
        """Write what the socket did not take before, though nobody may wait for the answer any more."""
        if link.socket is None or link.unsent is None:
            return
        unsent, link.unsent = link.unsent, None
        self._selector.modify(link.socket, selectors.EVENT_READ, link)
        if (exchange := link.turns.oldest) is not None:
            self._send(link, exchange, unsent)

    def _read(self, link: Link, now: float, touched: dict[int, Exchange]) -> None:
        """Take what has arrived; exchanges that want their results as they come are put into `touched`."""
        try:
            while link.socket is not None:
                data = link.socket.recv(_READ_BYTES)
                if not data:
                    self._break(link, None)
                    break
                for frame in link.reader.feed(data):
                    self._take(link, frame, now, touched)
                if len(data) < _READ_BYTES:
                    break
        except BlockingIOError:
            pass
        except ConnectionError:
            self._break(link, None)
        except framing.ProtocolError as error:
            self._break(link, str(error))

    def _take(self, link: Link, frame: framing.Frame, now: float, touched: dict[int, Exchange]) -> None:
        """One answer. It carries the id of its call, so that it is never taken for another's."""
        turns = link.turns
        exchange = turns.oldest
        if frame.kind == framing.GIVEN_BACK and link.unsent is None:
            self._take_back(link, now)
            return
        if exchange is None or frame.call != exchange.id or link.unsent is not None:
            raise framing.ProtocolError("it answered a call that it was not asked")
        elapsed = now - turns.since
        in_time = turns.answered(exchange, now)
        if exchange.shared is not None:
            self._has_read(link, exchange)
        if not in_time:
            self._on_loop(lambda: link.watcher.late(link))
        else:
            self._settle(link, exchange, frame, elapsed)
            if exchange.each:
                touched[exchange.id] = exchange
        if turns.queue:
            if (following := turns.next(now)) is not None:
                self._send(link, following, following.waiting[link])
            self._deadlines.watch(link)

    def _take_back(self, link: Link, now: float) -> None:
        """After a call that took too long it does not begin the rest that it has: some of that may be over by now."""
        try:
            following = link.turns.given_back(now)
        except ValueError as error:
            raise framing.ProtocolError(str(error)) from None
        if following is not None:
            self._send(link, following, following.waiting[link])
            self._deadlines.watch(link)

    def _settle(
        self, link: Link, exchange: Exchange, what: framing.Frame | Missed[Exchange] | Gone, elapsed: float
    ) -> None:
        if exchange.waiting.pop(link, None) is None:
            return
        exchange.results.append((link, what, elapsed))
        if not exchange.waiting:
            self._deliver(exchange)

    def _has_read(self, link: Link, exchange: Exchange) -> None:
        """One reader less of what the exchange shares; who is late reads on after everyone else's answer."""
        exchange.readers.discard(link)
        if not exchange.readers and not exchange.waiting:
            exchange.shared = None

    def _deliver_early(self, exchanges: Mapping[int, Exchange]) -> None:
        """Give on what came of exchanges that want their results as they come, and that are not over."""
        for exchange in exchanges.values():
            if exchange.results and exchange.waiting:
                self._deliver(exchange)

    def _deliver(self, exchange: Exchange) -> None:
        batch, exchange.results = exchange.results, []
        last = not exchange.waiting
        if last and not exchange.readers:
            exchange.shared = None
        self._on_loop(lambda: exchange.deliver(batch, last))

    def _on_loop(self, function: Callable[[], None]) -> None:
        """Have the event loop call the function, and tell if it took long to get there."""
        posted = time.monotonic()

        def called() -> None:
            late = time.monotonic() - posted
            function()
            if late > _BLOCKED_SECONDS:
                self._on_blocked(late)

        with suppress(RuntimeError):  # the event loop is closed: nobody is left to be told
            self._call_soon(called)

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
        """The process is gone: settle what it was asked, and what waited for it."""
        now = self._clock()
        touched: dict[int, Exchange] = {}
        self._read(link, now, touched)  # an answer that was given before the end counts
        if link.ended:
            return
        link.ended = True
        self._hang_up(link)
        self.processes.forget(link)
        running, current = link.turns.oldest, link.turns.current
        gone = Gone(code, link.broken, busy_with=running.method if running is not None else None)
        if running is not None:
            self._has_read(link, running)
        begun, elapsed = link.turns.running, now - link.turns.since
        for exchange in link.turns.end():
            what = gone if exchange is current else replace(gone, unsent=True)
            self._settle(link, exchange, what, elapsed if exchange is begun else 0.0)
            if exchange.each:
                touched[exchange.id] = exchange
        self._deliver_early(touched)
        self._on_loop(lambda: link.watcher.gone(link, gone, told=current is not None))
