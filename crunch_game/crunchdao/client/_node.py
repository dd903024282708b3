"""One model node as the runner's instance: its calls and their answers, and its connection lost and found."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from functools import partial
from typing import Any, Final

from google.protobuf.message import DecodeError
from grpc.aio import AioRpcError

from crunch_game.crunchdao.client import _backoff as backoff
from crunch_game.crunchdao.client import _replies as replies
from crunch_game.crunchdao.client._connection import Connection
from crunch_game.crunchdao.client._pending import PendingCall
from crunch_game.crunchdao.protocol import CALL, Refused
from crunch_game.faults import describe_exception, shortened
from crunch_game.hosts import Turns
from crunch_game.hosts.base import Instance, Reply, Watcher
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Trigger

logger = logging.getLogger("crunch_game")

_LOST_AFTER_SECONDS: Final = 0.25
"""How long a connection may be gone before it counts as lost."""
_LOOK_TIMEOUT_SECONDS: Final = 2.0
_MAX_OVERDUE_CALLS: Final = 4
"""Answers that may be awaited though they are late, before the node is thought never to give the oldest."""
_MAX_RETRY_PAUSE_SECONDS: Final = 0.1
"""Between two questions whether a node is still busy."""
_LAST_LOOP_TURNS: Final = 10
"""Of the event loop after a deadline, in which an answer that has arrived becomes a reply."""


class Node(Instance):
    """A model node that was set up.

    Args:
        submission: The model.
        connection: An open one.
        watcher: Told what happens outside of calls.

    Attributes:
        is_forgotten: Whether the node has lost the instance.
    """

    def __init__(self, submission: Submission, connection: Connection, watcher: Watcher) -> None:
        super().__init__(submission)
        self.connection = connection
        self._watcher = watcher
        self._turns: Turns[PendingCall] = Turns(_MAX_OVERDUE_CALLS)
        self._asking: dict[PendingCall, asyncio.Task[Reply | None]] = {}
        self._retry: asyncio.TimerHandle | None = None
        self._alarm: asyncio.Handle | None = None
        self._alarm_at = math.inf
        """When it looks whether a budget is over; an alarm for an earlier one will do for those after it."""
        self._named: set[str] = set()
        """Methods whose optional parameters this model wants by keyword."""
        self._lost: Fault | None = None
        self.is_forgotten = False
        self._closed = False
        self._watching: asyncio.Task[None] | None = None
        self._ending: list[asyncio.Task[Any]] = []

    @property
    def is_lost(self) -> bool:
        """Whether its connection, or what it knew, is lost."""
        return self._lost is not None or self.is_forgotten

    def watch(self) -> None:
        """Watch the connection from now on."""
        self._watching = asyncio.get_running_loop().create_task(self._watch_connection())

    def drop(self) -> None:
        """Drop what is under way, and tell nothing any more."""
        self._closed = True
        for handle in (self._retry, self._alarm):
            if handle is not None:
                handle.cancel()
        self._ending = [*self._asking.values(), *filter(None, [self._watching])]
        for task in self._ending:
            task.cancel()
        begun, elapsed = self._turns.running, _now() - self._turns.since
        for call in self._turns.end():
            why = Fault("stopped", "it was ended before it answered")
            self._reply(call, Trigger.DROPPED, why, elapsed if call is begun else 0.0)

    async def close(self) -> None:
        """Drop what is under way, and disconnect."""
        if not self._closed:
            self.drop()
        await asyncio.gather(*self._ending, return_exceptions=True)
        # A call that is kept, be it by a traceback, keeps its channel.
        self._ending.clear()
        self._asking.clear()
        self._watching = None
        await self.connection.close()

    # Calls: one at a time.

    def ask(self, call: PendingCall) -> None:
        """Ask the model when it is this call's turn; its round gets the reply, by the deadline."""
        if self._closed:
            self._reply(call, Trigger.DROPPED, Fault("stopped", "it was ended before it was asked"))
        else:
            if self._turns.add(call, _now()):
                self._begin(call)
            self._watch_budget()

    def give_up(self, call: PendingCall) -> None:
        """Nobody waits for the call any more: an answer that still comes is a late one."""
        self._turns.expire(call, _now())
        call.round.pending.remove(call)
        if self._turns.oldest is None:
            self._watcher.happened(self, Trigger.LATE, None)
        self._go_on()

    def _go_on(self) -> None:
        """Ask what waits, if the node is free. If too many answers are late, the oldest is given up."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if (surplus := self._turns.surplus) is not None:
            self._asking[surplus].cancel()
        while (call := self._turns.next(_now())) is not None:
            self._begin(call)
        self._watch_budget()

    def _watch_budget(self) -> None:
        """See to the end of the budget that runs now."""
        if (deadline := self._turns.deadline) < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm_at = deadline
            self._alarm = asyncio.get_running_loop().call_at(deadline, self._look_at_budget)

    def _look_at_budget(self) -> None:
        self._alarm, self._alarm_at = None, math.inf
        call, late = self._turns.running, _now() - self._turns.deadline
        if call is None or late < 0.0:
            self._watch_budget()
            return
        call.round.blocked = max(call.round.blocked, late)
        self._alarm_at = self._turns.deadline
        self._last_chance(call, _LAST_LOOP_TURNS)

    def _last_chance(self, call: PendingCall, turns: int) -> None:
        """The call's budget is over: what has arrived by now is in time, and what has not is missed."""
        if call is not self._turns.running:
            self._look_at_budget()
        elif turns:
            self._alarm = asyncio.get_running_loop().call_soon(self._last_chance, call, turns - 1)
        else:
            self._alarm, self._alarm_at = None, math.inf
            elapsed = self._elapsed(call)
            missed = self._turns.expire(call, _now())
            trigger = Trigger.UNREACHED if missed.by_somebody_else else Trigger.DEADLINE
            self._reply(call, trigger, Fault(*missed.kind_and_reason(call.timeout)), elapsed)
            self._go_on()

    def _begin(self, call: PendingCall) -> None:
        if self.is_lost:
            elapsed = self._elapsed(call)
            self._turns.answered(call, _now())
            # Told again, in case that it was told before anyone knew this instance.
            trigger, why = (Trigger.FORGOTTEN, replies.FORGOTTEN) if self.is_forgotten else (Trigger.LOST, self._lost)
            self._watcher.happened(self, trigger, why)
            self._reply(call, Trigger.UNREACHED, self._lost or replies.FORGOTTEN, elapsed)
            return
        task = asyncio.get_running_loop().create_task(self._talk(call))
        self._asking[call] = task
        task.add_done_callback(partial(self._done, call))

    def _elapsed(self, call: PendingCall) -> float:
        return self._turns.elapsed(call, _now())

    def _reply(self, call: PendingCall, trigger: Trigger, fault: Fault | None, elapsed: float = 0.0) -> None:
        call.round.take(call, Reply(trigger, None, fault, elapsed))

    async def _talk(self, call: PendingCall) -> Reply | None:
        """Ask the model; None when its node is busy."""
        named = call.named_request if call.method in self._named else None
        reply = await self._answer(call, named or call.request)
        if named is None and reply is not None and replies.wants_fewer(reply):
            named = call.named_request
            if named is not None and call.is_pending:
                self._named.add(call.method)
                return await self._answer(call, named)
        return reply

    async def _answer(self, call: PendingCall, request: bytes) -> Reply | None:
        try:
            data = await self.connection.request(CALL, request)
        except AioRpcError as error:
            if replies.is_busy(error):
                return None
            reply = replies.reply_of_error(error, self._elapsed(call))
        except Refused as error:
            reply = Reply(Trigger.UNREACHED, None, Fault("refused", str(error)), self._elapsed(call))
        else:
            table = call.round.call.method.returns_table
            reply = replies.reply_of_answer(data, self._elapsed(call), table=table)
        if reply.fault is replies.FORGOTTEN:
            self._forget()
        elif reply.trigger is Trigger.UNREACHED and reply.fault is not None:
            self._suspect(reply.fault)
        return reply

    def _done(self, call: PendingCall, task: asyncio.Task[Reply | None]) -> None:
        """Take what came of asking, in time or late; a busy node is asked again soon."""
        self._asking.pop(call, None)
        if self._closed:
            return
        try:
            reply = task.result()
        except asyncio.CancelledError:  # too many answers were late, and this was the oldest
            reply = Reply(Trigger.DROPPED, None, None, self._elapsed(call))
        except Exception as error:  # nothing that asking comes to may cost a round its end
            logger.exception("asking the node of %s failed", self.submission.id)
            fault = Fault("unreachable", f"its node could not be asked: {describe_exception(error)}")
            reply = Reply(Trigger.UNREACHED, None, fault, self._elapsed(call))
        if reply is None and self._turns.refused(call):
            pause = min(_MAX_RETRY_PAUSE_SECONDS, 0.005 * 2.0 ** min(call.refusals, 10))
            call.refusals += 1
            self._retry = asyncio.get_running_loop().call_later(pause, self._go_on)
            return
        if reply is not None and self._turns.answered(call, _now()):
            call.round.take(call, reply)
        elif self._turns.oldest is None:
            self._watcher.happened(self, Trigger.LATE, None)
        self._go_on()

    # The connection.

    def _forget(self) -> None:
        if not self.is_forgotten and not self._closed:
            self.is_forgotten = True
            self._watcher.happened(self, Trigger.FORGOTTEN, replies.FORGOTTEN)
            if self._watching is not None and self._watching is not asyncio.current_task():
                self._watching.cancel()

    def _suspect(self, why: Fault) -> None:
        """A call got lost: look at once whether the node is still there."""
        if self.is_lost or self._closed or self._watching is None:
            return
        self._watching.cancel()
        self._watching = asyncio.get_running_loop().create_task(self._watch_connection(why))

    async def _watch_connection(self, why: Fault | None = None) -> None:
        """Tell when the connection is lost and when it is found again, as long as the node lives."""
        while True:
            if why is None:
                await self.connection.dropped()
            trouble = await self._look(_LOST_AFTER_SECONDS, wait_for_ready=False)
            if trouble is not None:
                self._lost = why or trouble
                self._watcher.happened(self, Trigger.LOST, self._lost)
                await self._find()
                self._lost = None
                if not self.is_forgotten:
                    self._watcher.happened(self, Trigger.FOUND, None)
            if self.is_forgotten:
                return
            why = None

    async def _find(self) -> None:
        """Wait until the node is there again."""
        for attempt in itertools.count():
            await asyncio.sleep(backoff.delay(attempt))
            trouble = await self._look(_LOOK_TIMEOUT_SECONDS, wait_for_ready=True)
            if trouble is None:
                return
            self._lost = trouble

    async def _look(self, timeout: float, *, wait_for_ready: bool) -> Fault | None:
        """Find out what keeps the node from being asked; None if nothing does. Notices that it lost its instance."""
        try:
            await self.connection.open()
            data = await self.connection.look(timeout, wait_for_ready=wait_for_ready)
            if not replies.has_instance(data):
                self._forget()
        except AioRpcError as error:
            return None if replies.is_busy(error) else Fault("unreachable", replies.reason_of(error))
        except (Refused, DecodeError, OSError) as error:
            return Fault("refused" if isinstance(error, Refused) else "unreachable", shortened(str(error)))
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()
