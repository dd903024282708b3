"""One model node as the runner's instance: one call at a time, its answers, and its connection lost and found."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError
from grpc.aio import AioRpcError

from crunch_game.crunchdao import backoff, replies
from crunch_game.crunchdao.connection import Connection
from crunch_game.crunchdao.credentials import Refused
from crunch_game.crunchdao.exchange import Order
from crunch_game.crunchdao.messages import CALL
from crunch_game.faults import said
from crunch_game.hosts.base import Instance, Reply, Watcher
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Event

__all__ = ["Node"]

logger = logging.getLogger("crunch_game")

_GLANCE: Final = 0.25
"""Seconds that a connection may be gone before it counts as lost."""
_LOOK: Final = 2.0
_MOST_OVERDUE: Final = 4
_BUSY: Final = 0.1
"""Seconds at most between two questions whether a node is still busy with somebody else's call."""


class Node(Instance):
    """A model node that was set up.

    Args:
        submission: The model.
        connection: An open one.
        watcher: Told what happens outside of calls.
    """

    def __init__(self, submission: Submission, connection: Connection, watcher: Watcher) -> None:
        super().__init__(submission)
        self.connection = connection
        self._watcher = watcher
        self._line: deque[Order] = deque()
        self._current: tuple[Order, asyncio.Task[Reply | None], float] | None = None
        self._overdue: dict[asyncio.Task[Reply | None], tuple[str, float]] = {}
        self._named: set[str] = set()
        self._lost: Fault | None = None
        self._forgotten = False
        self._closed = False
        self._retry: asyncio.TimerHandle | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_lost(self) -> bool:
        """Whether its connection, or what it knew, is lost."""
        return self._lost is not None or self._forgotten

    @property
    def is_forgotten(self) -> bool:
        """Whether the node has lost the instance."""
        return self._forgotten

    def keep(self) -> None:
        """Watch the connection from now on."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep())

    def drop(self) -> None:
        """Drop what is under way, and tell nothing any more."""
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        self._tasks = {*self._overdue, *filter(None, (self._keeper, self._current and self._current[1]))}
        for task in self._tasks:
            task.cancel()
        for order in [*self._line, *([self._current[0]] if self._current else [])]:
            if order.exchange.pending.get(self) is order:
                fault = Fault("stopped", "it was ended before it answered")
                order.exchange.take(self, Reply(Event.DROPPED, None, fault, order.exchange.elapsed))
        self._line.clear()

    async def close(self) -> None:
        """Drop what is under way, and disconnect."""
        if not self._closed:
            self.drop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A call that is kept, be it by a traceback, keeps its channel.
        self._tasks.clear()
        self._overdue.clear()
        self._current = self._keeper = None
        await self.connection.close()

    # Calls: one at a time.

    def ask(self, order: Order) -> None:
        """Put an order in the line; its exchange gets the reply, by the deadline."""
        self._line.append(order)
        self._go_on()

    def _go_on(self) -> None:
        """Take the next order, if there is one and the node is free."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        while self._line and self._current is None and not self._closed:
            order = self._line.popleft()
            if order.exchange.pending.get(self) is not order:
                continue
            if self.is_lost:
                order.exchange.take(self, self._unreached(order))
                continue
            task = asyncio.get_running_loop().create_task(self._talk(order))
            self._current = order, task, time.monotonic()
            task.add_done_callback(partial(self._done, order))

    async def _talk(self, order: Order) -> Reply | None:
        """Ask the model; None when its node is busy."""
        named = order.named_request if order.method in self._named else None
        reply = await self._answer(order, named or order.request)
        if named is None and reply is not None and replies.wants_fewer(reply):
            named = order.named_request
            if named is not None and order.exchange.pending.get(self) is order:
                self._named.add(order.method)
                return await self._answer(order, named)
        return reply

    async def _answer(self, order: Order, request: bytes) -> Reply | None:
        try:
            data = await self.connection.request(CALL, request)
        except AioRpcError as error:
            if replies.is_busy(error):
                return None
            reply = replies.refused(error, order.exchange.elapsed)
        except Refused as error:
            reply = Reply(Event.UNREACHED, None, Fault("refused", str(error)), order.exchange.elapsed)
        else:
            reply = replies.answered(data, order.exchange.elapsed)
        if reply.fault is replies.FORGOTTEN:
            self._forget()
        elif reply.event is Event.UNREACHED and reply.fault is not None:
            self._suspect(reply.fault)
        return reply

    def _done(self, order: Order, task: asyncio.Task[Reply | None]) -> None:
        """What came of asking: it may be late, and the node may have been busy."""
        late = self._overdue.pop(task, None) is not None
        if not late:
            self._current = None
        if task.cancelled() or self._closed:
            return
        try:
            reply = task.result()
        except Exception as error:  # nothing that asking comes to may cost a round its end
            logger.exception("asking the node of %s failed", self.submission.id)
            fault = Fault("unreachable", f"its node could not be asked: {said(error)}")
            reply = Reply(Event.UNREACHED, None, fault, order.exchange.elapsed)
        if late:
            if not self._overdue and self._current is None:
                self._watcher.happened(self, Event.LATE, None)
        elif order.exchange.pending.get(self) is order:
            if reply is None:
                self._wait(order)
                return
            order.exchange.take(self, reply)
        self._go_on()

    def _wait(self, order: Order) -> None:
        """The node is busy: ask again soon, or once the late answer that keeps it busy is here."""
        self._line.appendleft(order)
        pause = min(_BUSY, 0.005 * 2.0 ** min(order.attempts, 10))
        order.attempts += 1
        order.crowded_out = not self._overdue
        self._retry = asyncio.get_running_loop().call_later(pause, self._go_on)

    def miss(self, order: Order) -> None:
        """The order's budget is over."""
        now = time.monotonic()
        if self._current is not None and self._current[0] is order:
            self._let_be()
            order.exchange.take(self, order.missed(None, asked=True))
        else:
            busy = [(method, now - since) for method, since in self._overdue.values()]
            if self._current is not None:
                busy.append((self._current[0].method, now - self._current[2]))
            order.exchange.take(self, order.missed(busy[0] if busy else None, asked=False))
        self._go_on()

    def _let_be(self) -> None:
        """Go on without the answer to the current call. It may still come, or never: not all are waited for."""
        assert self._current is not None
        order, task, since = self._current
        self._overdue[task] = order.method, since
        self._current = None
        if len(self._overdue) > _MOST_OVERDUE:
            next(iter(self._overdue)).cancel()

    def forsake(self, order: Order) -> None:
        """Nobody waits for the order any more: an answer that still comes is a late one."""
        del order.exchange.pending[self]
        if self._current is not None and self._current[0] is order:
            self._let_be()
        elif not self._overdue and self._current is None:
            self._watcher.happened(self, Event.LATE, None)
        self._go_on()

    def _unreached(self, order: Order) -> Reply:
        # Told again, in case that it was told before anyone knew this instance.
        if self._forgotten:
            self._watcher.happened(self, Event.FORGOTTEN, replies.FORGOTTEN)
        else:
            self._watcher.happened(self, Event.LOST, self._lost)
        return Reply(Event.UNREACHED, None, self._lost or replies.FORGOTTEN, order.exchange.elapsed)

    # The connection.

    def _forget(self) -> None:
        if not self._forgotten and not self._closed:
            self._forgotten = True
            self._watcher.happened(self, Event.FORGOTTEN, replies.FORGOTTEN)
            if self._keeper is not None and self._keeper is not asyncio.current_task():
                self._keeper.cancel()

    def _suspect(self, why: Fault) -> None:
        """A call got lost: look at once whether the node is still there."""
        if self.is_lost or self._closed or self._keeper is None:
            return
        self._keeper.cancel()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(why))

    async def _keep(self, why: Fault | None = None) -> None:
        """Tell when the connection is lost, and when it is found again, for good."""
        while True:
            if why is None:
                await self.connection.dropped()
            trouble = await self._look(_GLANCE, wait_for_ready=False)
            if trouble is not None:
                self._lost = why or trouble
                self._watcher.happened(self, Event.LOST, self._lost)
                await self._find()
                self._lost = None
                if not self._forgotten:
                    self._watcher.happened(self, Event.FOUND, None)
            if self._forgotten:
                return
            why = None

    async def _find(self) -> None:
        """Wait until the node is there again."""
        attempt = 0
        while True:
            await asyncio.sleep(backoff.delay(attempt))
            attempt += 1
            trouble = await self._look(_LOOK, wait_for_ready=True)
            if trouble is None:
                return
            self._lost = trouble

    async def _look(self, timeout: float, *, wait_for_ready: bool) -> Fault | None:
        """What keeps the node from being asked, or None; it is noted if it has lost its instance."""
        try:
            await self.connection.open()
            data = await self.connection.look(timeout, wait_for_ready=wait_for_ready)
            if not replies.has_instance(data):
                self._forget()
        except AioRpcError as error:
            return None if replies.is_busy(error) else Fault("unreachable", replies.told(error))
        except (Refused, DecodeError, OSError) as error:
            return Fault("refused" if isinstance(error, Refused) else "unreachable", str(error))
        return None
