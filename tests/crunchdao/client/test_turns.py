"""A node's calls take turns by the same rules as a process's."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from taking_turns import ANSWERED, GONE, NO_ANSWER, Asked, Base, play

from crunch_game.contract import Contract
from crunch_game.crunchdao.client._node import Node
from crunch_game.crunchdao.client._pending import PendingCall, PendingRound
from crunch_game.crunchdao.client._requests import Requests
from crunch_game.crunchdao.protocol import CallResponse, ReplyCode, Status
from crunch_game.hosts.base import Call
from crunch_game.models import Submission
from crunch_game.policy import Trigger


class FakeConnection:
    """A node whose answers are given by the test."""

    def __init__(self) -> None:
        self.requests: list[asyncio.Future[bytes]] = []

    async def request(self, path: str, message: bytes, **_: Any) -> bytes:
        answered = asyncio.get_running_loop().create_future()
        self.requests.append(answered)
        return await answered

    async def close(self) -> None:
        pass


class AtANode:
    """A node, asked over a connection that is not."""

    max_overdue = 4
    misses_at_once = False

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.connection = FakeConnection()
        self.node = Node(Submission("a", "localhost:1"), self.connection, self)
        self.contract = Contract(Base)
        self.at_model: list[Asked] = []
        self.outcomes: dict[Asked, str] = {}
        self.late = 0
        self.waiting: list[Asked] = []
        self.futures: dict[Asked, asyncio.Future[bytes]] = {}

    def happened(self, instance: Any, trigger: Trigger, fault: Any) -> None:
        """As the watcher."""
        assert trigger is Trigger.LATE
        self.late += 1

    def _run(self, function: Any, *args: Any) -> None:
        async def run() -> None:
            function(*args)
            for _ in range(5):
                await asyncio.sleep(0)

        self.loop.run_until_complete(run())
        for future in self.connection.requests:
            call = self.waiting.pop(0)
            self.futures[call] = future
        self.connection.requests.clear()
        self.at_model = [call for call, future in self.futures.items() if not future.done()]
        for call in list(self.calls):
            for _, reply in call.token.round.collected():
                self.outcomes[call] = self._outcome(reply)

    calls: list[Asked]

    def _outcome(self, reply: Any) -> str:
        if reply.trigger is Trigger.ANSWERED:
            return ANSWERED
        if reply.trigger is Trigger.DROPPED:
            return GONE
        assert reply.trigger is Trigger.DEADLINE
        busy = re.match(r"not asked within 1 s: it has been (busy with \w+) for \S+ s$", reply.fault.message)
        assert busy or reply.fault.message == "no answer within 1 s"
        return busy[1] if busy else NO_ANSWER

    def ask(self, call: Asked) -> None:
        if not hasattr(self, "calls"):
            self.calls = []
        made = Call(self.contract.method(call.method), [], {}, 1.0)
        call.token = PendingCall(PendingRound(made, each=True), self.node, Requests(made), None)
        self.calls.append(call)
        self.waiting.append(call)
        self._run(self.node.ask, call.token)

    def answer(self, call: Asked) -> None:
        said = CallResponse(status=Status(code=ReplyCode.SUCCESS)).SerializeToString()
        self._run(self.futures[call].set_result, said)

    def miss(self, call: Asked) -> None:
        if call in self.waiting:
            self.waiting.remove(call)
        self._run(self.node.miss, call.token)

    def give_up(self, call: Asked) -> None:
        if call in self.waiting:
            self.waiting.remove(call)
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
