"""A node's calls and their replies, over a connection that the test answers; how they take turns is in test_turns."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import anyio
import grpc
import pytest

from crunch_game import Submission, TrackerBase
from crunch_game.contract import Contract
from crunch_game.crunchdao.client._credentials import Refused
from crunch_game.crunchdao.client._node import Node
from crunch_game.crunchdao.client._pending import PendingCall, PendingRound
from crunch_game.crunchdao.client._requests import Requests
from crunch_game.crunchdao.protocol import CallRequest, CallResponse, ReplyCode, Status
from crunch_game.hosts.base import Call, Reply
from crunch_game.policy import Trigger

pytestmark = pytest.mark.anyio

PATIENCE = 10.0


class Game(TrackerBase):
    def predict(self, horizon: int = 1) -> float: ...


CONTRACT = Contract(Game)


def failed(code: grpc.StatusCode, details: str) -> grpc.aio.AioRpcError:
    none = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, none, none, details)


BUSY = failed(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server busy")
SUCCESS = CallResponse(status=Status(code=ReplyCode.SUCCESS)).SerializeToString()
FORGOTTEN = CallResponse(status=Status(code=ReplyCode.FAILED_PRECONDITION, message="no setup")).SerializeToString()
SURPLUS = "The model raised an exception: predict() takes 1 positional argument but 2 were given"


class Connection:
    """What the node is sent, and the test's answers: bytes, perhaps later, or an exception, or nothing for ever."""

    def __init__(self, *answers: bytes | Exception | None) -> None:
        self.answers = list(answers)
        self.requests: list[Any] = []
        self.closed = False

    async def request(self, path: str, message: bytes, **_: Any) -> bytes:
        self.requests.append(CallRequest.FromString(message))
        answer = self.answers.pop(0)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, asyncio.Future):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        self.closed = True


class Watcher:
    def __init__(self) -> None:
        self.heard: list[Trigger] = []

    def happened(self, instance: Node, trigger: Trigger, fault: object) -> None:
        self.heard.append(trigger)


class Table:
    """A node, its connection, and who hears of it."""

    def __init__(self, *answers: bytes | Exception | None) -> None:
        self.connection = Connection(*answers)
        self.watcher = Watcher()
        self.node = Node(Submission("a", "localhost:1"), self.connection, self.watcher)

    def ask(self, *args: Any, timeout: float = 1.0) -> PendingCall:
        call = Call(CONTRACT.method("predict"), list(args), {}, timeout)
        pending = PendingCall(PendingRound(call, each=False), self.node, Requests(call), None)
        self.node.ask(pending)
        return pending

    async def reply(self, pending: PendingCall) -> Reply:
        with anyio.fail_after(PATIENCE):
            await pending.round.news.wait()
        [(node, reply)] = pending.round.collected()
        assert node is self.node
        return reply


@pytest.fixture
async def table():
    tables = []

    def made(*answers: bytes | Exception | None) -> Table:
        tables.append(Table(*answers))
        return tables[-1]

    yield made
    for one in tables:
        await one.node.close()
        assert one.connection.closed


async def test_an_answer_is_the_reply(table):
    it = table(SUCCESS)
    assert (await it.reply(it.ask())).trigger is Trigger.ANSWERED


async def test_a_busy_node_is_asked_again_until_it_takes_the_call(table):
    it = table(BUSY, BUSY, BUSY, SUCCESS)
    assert (await it.reply(it.ask())).trigger is Trigger.ANSWERED
    assert len(it.connection.requests) == 4


async def test_a_call_that_waits_behind_a_refused_one_is_asked_after_it(table):
    it = table(BUSY, SUCCESS, SUCCESS)
    first, second = it.ask(1), it.ask(2)
    assert (await it.reply(first)).trigger is (await it.reply(second)).trigger is Trigger.ANSWERED
    assert [len(request.methodArguments) for request in it.connection.requests] == [1, 1, 1]
    datas = [request.methodArguments[0].data.SerializeToString() for request in it.connection.requests]
    assert datas[0] == datas[1] != datas[2]


async def test_a_node_that_stays_busy_is_somebody_elses_and_gets_no_strike(table):
    it = table(*[BUSY] * 50)
    pending = it.ask(timeout=0.25)
    reply = await it.reply(pending)
    assert (reply.trigger, reply.fault.kind) == (Trigger.UNREACHED, "busy")
    assert reply.fault.message == "not asked within 0.25 s: its node is busy with somebody else's call"


async def test_a_missed_call_is_a_timeout_and_the_next_is_asked_all_the_same(table):
    it = table(None, SUCCESS)
    reply = await it.reply(it.ask(timeout=0.25))
    assert (reply.trigger, reply.fault.kind, reply.fault.message) == (
        Trigger.DEADLINE,
        "timeout",
        "no answer within 0.25 s",
    )
    assert (await it.reply(it.ask())).trigger is Trigger.ANSWERED
    assert it.watcher.heard == [], "it has not answered the first yet"


async def test_answers_that_never_come_are_not_waited_for_by_the_dozen(table):
    it = table(*[None] * 20, SUCCESS)
    for number in range(20):
        assert (await it.reply(it.ask(timeout=0.02))).fault.kind == "timeout", "it was asked, however many are late"
        assert len(it.connection.requests) == number + 1
    assert (await it.reply(it.ask())).trigger is Trigger.ANSWERED
    running = [task for task in asyncio.all_tasks() if "Node._talk" in repr(task)]
    assert len(running) <= 4


async def test_a_late_model_is_late_though_its_node_refused_it_while_our_own_call_before_ran(table, seen):
    first_answer = asyncio.get_running_loop().create_future()
    it = table(first_answer, BUSY, BUSY, None)
    assert (await it.reply(it.ask(timeout=0.02))).fault.kind == "timeout"
    late = it.ask(timeout=0.5)
    await seen(lambda: late.refusals == 2)
    first_answer.set_result(SUCCESS)
    reply = await it.reply(late)
    assert (reply.trigger, reply.fault.message) == (Trigger.DEADLINE, "no answer within 0.5 s")


async def test_a_call_behind_one_of_ours_has_its_own_budget_from_when_that_is_answered(table):
    answers = [asyncio.get_running_loop().create_future() for _ in range(2)]
    it = table(*answers)
    first, second = it.ask(timeout=PATIENCE), it.ask(timeout=0.02)
    await anyio.sleep(0.05)  # more than the budget of the second
    assert (len(it.connection.requests), second.is_pending) == (1, True)
    answers[0].set_result(SUCCESS)
    assert (await it.reply(first)).elapsed >= 0.05
    reply = await it.reply(second)
    assert (reply.trigger, reply.fault.message) == (Trigger.DEADLINE, "no answer within 0.02 s")


async def test_calls_in_a_row_are_all_over_by_the_sum_of_their_budgets_though_nothing_is_answered(table):
    it = table(None, None, None)
    calls = [it.ask(timeout=0.02) for _ in range(3)]
    replies = [await it.reply(call) for call in calls]
    assert [reply.fault.message for reply in replies] == ["no answer within 0.02 s"] * 3
    assert all(reply.elapsed >= 0.02 for reply in replies)


async def test_an_answer_that_has_arrived_when_the_deadline_is_noticed_is_in_time(table):
    answered = asyncio.get_running_loop().create_future()
    it = table(answered)
    pending = it.ask(timeout=0.05)
    await anyio.wait_all_tasks_blocked()
    answered.set_result(SUCCESS)
    time.sleep(0.1)  # noqa: ASYNC251 - the author's code holds the loop
    assert (await it.reply(pending)).trigger is Trigger.ANSWERED
    assert it.watcher.heard == []


@pytest.mark.parametrize(
    ("error", "event", "kind", "message"),
    [
        (Refused("it is another's"), Trigger.UNREACHED, "refused", "it is another's"),
        (failed(grpc.StatusCode.UNAVAILABLE, "gone"), Trigger.UNREACHED, "unreachable", "gone"),
        (failed(grpc.StatusCode.UNKNOWN, "its code failed"), Trigger.RAISED, "UNKNOWN", "its code failed"),
    ],
)
async def test_an_error_of_the_connection_is_a_reply(table, error, event, kind, message):
    it = table(error)
    reply = await it.reply(it.ask())
    assert (reply.trigger, reply.fault.kind, reply.fault.message) == (event, kind, message)


async def test_nothing_that_asking_comes_to_costs_a_round_its_end(table, caplog):
    it = table(RuntimeError("oops"))
    reply = await it.reply(it.ask())
    assert (reply.trigger, reply.fault.message) == (
        Trigger.UNREACHED,
        "its node could not be asked: RuntimeError: oops",
    )
    assert "asking the node of a failed" in caplog.text


async def test_a_node_that_has_lost_its_instance_is_not_asked_again(table):
    it = table(FORGOTTEN)
    first, second = await it.reply(it.ask()), await it.reply(it.ask())
    assert first.trigger is second.trigger is Trigger.UNREACHED
    assert first.fault == second.fault
    assert first.fault.message == "its node was started again and has lost the instance"
    assert it.node.is_forgotten
    assert it.watcher.heard == [Trigger.FORGOTTEN, Trigger.FORGOTTEN], "told again: perhaps nobody knew it at first"
    assert len(it.connection.requests) == 1


async def test_a_model_that_takes_fewer_positional_arguments_gets_them_by_name_from_then_on(table):
    surplus = CallResponse(status=Status(code=ReplyCode.MODEL_FAILED, message=SURPLUS)).SerializeToString()
    it = table(surplus, SUCCESS, SUCCESS)
    for _ in range(2):
        assert (await it.reply(it.ask(5))).trigger is Trigger.ANSWERED
    positional = [len(request.methodArguments) for request in it.connection.requests]
    assert positional == [1, 0, 0]
    assert [kw.keyword for kw in it.connection.requests[2].methodKwArguments] == ["horizon"]


async def test_what_is_under_way_when_it_is_dropped_is_told_and_what_comes_later_too(table):
    it = table(None)
    asked, waits = it.ask(), it.ask()
    it.node.drop()
    for pending in (asked, waits):
        reply = await it.reply(pending)
        assert (reply.trigger, reply.fault.kind, reply.fault.message) == (
            Trigger.DROPPED,
            "stopped",
            "it was ended before it answered",
        )
    assert (await it.reply(it.ask())).fault.message == "it was ended before it was asked"
    assert it.watcher.heard == []
