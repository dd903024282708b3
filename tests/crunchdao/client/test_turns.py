"""A node's calls take turns by the same rules as a process's."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from taking_turns import ANSWERED, GONE, NO_ANSWER, Asked, Base, Outcome, play

from crunch_game.contract import Contract
from crunch_game.crunchdao.client._node import Node
from crunch_game.crunchdao.client._pending import PendingCall, PendingRound
from crunch_game.crunchdao.client._requests import Requests
from crunch_game.crunchdao.protocol import CallResponse, ReplyCode, Status
from crunch_game.hosts.base import Call
from crunch_game.models import Submission
from crunch_game.policy import Trigger


class FakeConnection:
    """A node whose answers are given by the test: what it is asked, in order, and the answer to come."""

    def __init__(self) -> None:
        self.requests: list[tuple[bytes, asyncio.Future[bytes]]] = []

    async def request(self, path: str, message: bytes, **_: Any) -> bytes:
        answered = asyncio.get_running_loop().create_future()
        self.requests.append((message, answered))
        return await answered

    async def close(self) -> None:
        pass


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes when the test says so."""

    now = 0.0

    def time(self) -> float:
        return self.now


class AtANode:
    """A node, asked over a connection that is not, in a time that is not."""

    max_overdue = 4
    takes_several = False

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.connection = FakeConnection()
        self.node = Node(Submission("a", "localhost:1"), self.connection, self)
        self.contract = Contract(Base)
        self.outcomes: dict[Asked, Outcome] = {}
        self.late = 0
        self.calls: dict[bytes, Asked] = {}

    def happened(self, instance: Any, trigger: Trigger, fault: Any) -> None:
        """As the watcher."""
        assert trigger is Trigger.LATE
        self.late += 1

    @property
    def at_model(self) -> list[Asked]:
        return [self.calls[message] for message, future in self.connection.requests if not future.done()]

    def _run(self, function: Any, *args: Any) -> None:
        async def run() -> None:
            function(*args)
            for _ in range(20):
                await asyncio.sleep(0)

        self.loop.run_until_complete(run())
        for call in self.calls.values():
            for _, reply in call.token.round.collected():
                self.outcomes[call] = self._outcome(reply, call), reply.elapsed

    def _outcome(self, reply: Any, call: Asked) -> str:
        if reply.trigger is Trigger.ANSWERED:
            return ANSWERED
        if reply.trigger is Trigger.DROPPED:
            return GONE
        assert reply.trigger is Trigger.DEADLINE
        budget = f"{call.timeout:g} s"
        busy = re.match(rf"not asked within {budget}: it has been (busy with \w+) for \S+ s$", reply.fault.message)
        assert busy or reply.fault.message == f"no answer within {budget}"
        return busy[1] if busy else NO_ANSWER

    def ask(self, calls: list[Asked]) -> None:
        for call in calls:
            made = Call(self.contract.method(call.method), [call.number], {}, call.timeout)
            call.token = PendingCall(PendingRound(made, each=True), self.node, Requests(made), None)
            self.calls[call.token.request] = call
            self._run(self.node.ask, call.token)

    def answer(self, call: Asked, gives_back: bool) -> None:
        said = CallResponse(status=Status(code=ReplyCode.SUCCESS)).SerializeToString()
        [future] = [future for message, future in self.connection.requests if self.calls[message] is call]
        self._run(future.set_result, said)

    def wait_until(self, now: float) -> None:
        self.loop.now = now
        self._run(lambda: None)

    def give_up(self, calls: list[Asked]) -> None:
        for call in reversed(calls):
            self._run(self.node.give_up, call.token)

    def end(self) -> None:
        self._run(self.node.drop)

    def until(self, look: Any) -> None:
        assert look()

    def close(self) -> None:
        self.loop.run_until_complete(self.node.close())
        self.loop.close()


def test_a_nodes_calls_take_turns_as_the_rules_say():
    play(AtANode, 40)
