"""Model nodes, asked over gRPC: what reaches a model, what comes back, and what is nobody's strike."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
from pathlib import Path

import anyio
import grpc
import numpy as np
import pandas as pd
import pytest
from google.protobuf.message import DecodeError
from nodes import free_port, node

from crunch_game import Contract, ContractError, MethodCall, Policy, Submission
from crunch_game.crunchdao.client import NodeHost
from crunch_game.crunchdao.protocol import _messages as m
from crunch_game.crunchdao.protocol import _variants as variants
from crunch_game.encoding import NO_TABLE
from crunch_game.events import FieldFault, ModelLeft, ModelLoadFailed, ModelReady, ModelRestarted, ModelStopped
from crunch_game.outcomes import Status
from crunch_game.policy import State, Strikes

pytestmark = pytest.mark.anyio


class Tracker:
    """Answers with what it was told."""

    def __init__(self, horizon=3):
        self.horizon = horizon
        self.seen = []

    def tick(self, payload, performance=None):
        self.seen.append(payload)

    def predict(self, asset="dove", step=1):
        return self.horizon + step / 10

    def anything(self, *args, **kwargs):
        return [list(args), kwargs]

    def describe(self):
        return {"seen": self.seen}

    def measure(self, table):
        return table


MEASURED = Contract("birds.TrackerBase", returns={"measure": pd.DataFrame | None})


def at(*nodes, names="alice bob carol dave erin frank") -> list[Submission]:
    """Submissions of these nodes, by the names that a test knows them by."""
    return [
        Submission(name, f"127.0.0.1:{getattr(one, 'port', one)}")
        for name, one in zip(names.split(), nodes, strict=False)
    ]


@pytest.fixture
def on_nodes(running):
    """A runner of the models on these nodes."""

    def make(*nodes, **options):
        return running(at(*nodes), host=NodeHost(), **options)

    return make


# What reaches a model.


async def test_init_arguments_reach_the_model(on_nodes):
    async with node(Tracker) as alice, on_nodes(alice, init_args=[7]) as runner:
        assert (await runner.predict())["alice"].value == 7.1
        assert alice.setups[0].className == "birds.TrackerBase"
    async with node(Tracker) as alice, on_nodes(alice, init_kwargs={"horizon": 9}) as runner:
        assert (await runner.predict())["alice"].value == 9.1


async def test_arguments_reach_the_model_as_plain_values(on_nodes):
    values = [
        1.5,
        2,
        "é",
        None,
        True,
        [1, {"a": float("inf")}],
        (1, 2),
        np.float64(0.5),
        np.arange(3),
        {"k": np.int8(1)},
    ]
    async with node(Tracker) as alice, on_nodes(alice) as runner:
        await runner.call("anything", *values, flag=(1,))

        [(method, args, kwargs)] = alice.calls
        assert method == "anything"
        assert args == [1.5, 2, "é", None, True, [1, {"a": float("inf")}], [1, 2], 0.5, [0, 1, 2], {"k": 1}]
        assert kwargs == {"flag": [1]}


@pytest.mark.processes
async def test_a_table_reaches_the_model_and_comes_back(on_nodes):
    table = pd.DataFrame({"x": [1.5, 2.5], "s": ["a", "b"]})
    async with node(Tracker) as alice, on_nodes(alice, base=MEASURED) as runner:
        pd.testing.assert_frame_equal((await runner.call("measure", table))["alice"].value, table)


async def test_a_table_that_nobody_promised_is_no_answer(on_nodes):
    async with node(Tracker) as alice, on_nodes(alice) as runner:
        outcome = (await runner.call("measure", pd.DataFrame({"x": [1.5]})))["alice"]

    assert (outcome.status, outcome.error.message) == (Status.INVALID, f"the answer cannot be read: {NO_TABLE}")


@pytest.mark.processes
async def test_a_bomb_of_a_table_is_refused_beside_an_honest_one(on_nodes):
    class Bomber(Tracker):
        def measure(self, table):
            return pd.DataFrame({"x": np.zeros(2**24)})

    async with node(Tracker) as alice, node(Bomber) as bob, on_nodes(alice, bob, base=MEASURED) as runner:
        played = await runner.call("measure", pd.DataFrame({"x": [1.5]}))

    assert played["alice"].value.to_dict("list") == {"x": [1.5]}
    assert played["bob"].error.message == (
        "the answer cannot be read: a table could not be read: it has 16777216 cells; at most 8388608 are read"
    )


@pytest.mark.processes
async def test_a_model_whose_table_nobody_waits_for_is_free_again(on_nodes, log):
    async with node(Tracker) as alice, on_nodes(alice, base=MEASURED) as runner:
        with anyio.move_on_after(0.2):  # the process that reads tables takes longer to start
            await runner.call("measure", pd.DataFrame({"x": [1.5]}))
        assert (await runner.predict())["alice"].status is Status.OK


async def test_required_parameters_go_by_position_because_participants_rename_them(on_nodes):
    async with node(Tracker) as alice, on_nodes(alice) as runner:
        await runner.call("tick", payload={"price": 1.0})
        await runner.call("measure", table=1)
        await runner.call("predict", asset="crow")

        assert alice.calls == [("tick", [{"price": 1.0}], {}), ("measure", [1], {}), ("predict", [], {"asset": "crow"})]


async def test_a_model_that_takes_fewer_positional_arguments_gets_the_optional_ones_by_name(on_nodes):
    """A node drops a keyword that its model does not know, but fails a positional argument too many."""

    class Old:
        def tick(self, payload):
            return None

    def drop_unknown(request, context):
        args, _ = variants.values(request.methodArguments, request.methodKwArguments)
        if len(args) > 1:
            text = "The model raised an exception: Old.tick() takes 2 positional arguments but 3 were given"
            return m.CallResponse(status=m.Status(code=m.ReplyCode.MODEL_FAILED, message=text))
        return m.CallResponse(status=m.Status(code=m.ReplyCode.SUCCESS))

    async with node(Old, bend=drop_unknown) as old, node(Tracker) as new, on_nodes(old, new) as runner:
        for _ in range(2):
            played = await runner.tick({"price": 1.0}, {"score": 2.0})
            assert [outcome.status for outcome in played.values()] == [Status.OK, Status.OK]

        assert [len(request.methodArguments) for request in old.requests] == [2, 1, 1]
        assert [kwarg.keyword for kwarg in old.requests[-1].methodKwArguments] == ["performance"]
        assert new.calls == 2 * [("tick", [{"price": 1.0}, {"score": 2.0}], {})]


async def test_each_model_gets_its_own_further_arguments(on_nodes):
    async with node(Tracker) as alice, node(Tracker) as bob, on_nodes(alice, bob) as runner:
        await runner.call("tick", {"price": 1.0}, per_model=lambda model: {"performance": {"me": model.id}})
        await runner.call("measure", per_model=lambda model: {"table": model.id})

        assert alice.calls == [("tick", [{"price": 1.0}], {"performance": {"me": "alice"}}), ("measure", ["alice"], {})]
        assert bob.calls == [("tick", [{"price": 1.0}], {"performance": {"me": "bob"}}), ("measure", ["bob"], {})]


async def test_arguments_are_encoded_once_for_all_models(on_nodes, monkeypatch):
    encoded = []
    encode = variants.encode
    monkeypatch.setattr(
        "crunch_game.crunchdao.client._requests.encode", lambda value: encoded.append(value) or encode(value)
    )
    async with node(Tracker) as alice, node(Tracker) as bob, on_nodes(alice, bob) as runner:
        played = await runner.tick({"price": 1.0}, per_model=lambda model: {"performance": {"me": model.id}})
        assert len(played.succeeded) == 2

    assert encoded.count({"price": 1.0}) == 1


async def test_arguments_that_cannot_be_sent_are_the_authors_error_and_nobody_is_called(on_nodes):
    async with node(Tracker) as alice, on_nodes(alice) as runner:
        for value, told in [
            (b"x", "birds.TrackerBase.anything cannot be sent: a bytes cannot be sent; use a str"),
            ("x" * (m.MAX_MESSAGE + 1), "it takes 64 MiB; at most 64 can be sent"),
        ]:
            with pytest.raises(ContractError, match=told):
                await runner.call("anything", value)
        with pytest.raises(ContractError, match="a bytes cannot be sent"):
            await runner.call("anything", per_model=lambda model: {"x": b"x"})

        assert alice.calls == []
        assert runner.models["alice"].state is State.READY


async def test_init_arguments_that_cannot_be_sent_are_the_authors_error(on_nodes):
    with pytest.raises(ContractError, match="the models' init arguments cannot be sent: a bytes cannot be sent"):
        await on_nodes(1, init_args=[b"x"]).__aenter__()


async def test_a_base_class_that_nodes_cannot_import_is_the_authors_error(running):
    class Local:
        def predict(self): ...

    with pytest.raises(ContractError, match="put it into a package that they have"):
        await running(at(1), base=Local, host=NodeHost()).__aenter__()


# What comes back.


class Answering:
    """Answers with what the class attribute says."""

    answer = None

    def predict(self, asset="dove", step=1):
        return self.answer

    describe = predict


@pytest.mark.parametrize(("answer", "value"), [(1.5, 1.5), (2, 2.0), (np.float32(0.5), 0.5)])
async def test_an_answer_is_the_annotated_type(on_nodes, answer, value):
    Answering.answer = answer
    async with node(Answering) as alice, on_nodes(alice) as runner:
        got = (await runner.predict())["alice"].value
        assert got == value
        assert type(got) is float


@pytest.mark.parametrize(
    ("bent", "told"),
    [
        (m.Variant(type=m.VariantType.STRING, value=b"up"), "the answer does not fit predict's contract"),
        (m.Variant(type=m.VariantType.DOUBLE, value=b"123"), "the answer cannot be read: a value of type DOUBLE could"),
        (m.Variant(type=m.VariantType.JSON, value=b"{"), "the answer cannot be read: a value of type JSON could not"),
        (m.Variant(type=m.VariantType.JSON, value=b"NaN"), "NaN and infinity are not allowed"),
        (m.Variant(type=m.VariantType.ARROW), "ARROW is not known"),
        (m.Variant(), "the answer does not fit predict's contract"),
    ],
)
async def test_an_answer_of_the_wrong_type_is_invalid_and_says_why(on_nodes, bent, told):
    def bend(request, context):
        return m.CallResponse(status=m.Status(code=m.ReplyCode.SUCCESS), methodResponse=bent)

    async with node(Tracker, bend=bend) as alice, on_nodes(alice) as runner:
        outcome = (await runner.predict())["alice"]
        assert outcome.status is Status.INVALID
        assert told in outcome.error.message


@pytest.mark.parametrize(
    ("message", "status", "told"),
    [
        ("The model raised an exception: no idea", Status.RAISED, "The model raised an exception: no idea"),
        (
            "The model raised an exception: Unsupported data type: <class 'numpy.int64'>",
            Status.INVALID,
            "it returned numpy.int64, which its node cannot send; return a float, int, str, list, dict or DataFrame",
        ),
        (
            "The model raised an exception: Data cannot be serialized to JSON: Object of type ndarray is not JSON",
            Status.INVALID,
            "it returned something that JSON cannot hold (Object of type ndarray is not JSON), which its node cannot "
            "send; return a float, int, str, list, dict or DataFrame",
        ),
        ("", Status.RAISED, "its node says MODEL_FAILED"),
    ],
)
async def test_the_exceptions_text_that_is_on_the_wire_is_kept(on_nodes, message, status, told):
    def bend(request, context):
        return m.CallResponse(status=m.Status(code=m.ReplyCode.MODEL_FAILED, message=message))

    async with node(Tracker, bend=bend) as alice, on_nodes(alice) as runner:
        outcome = (await runner.predict())["alice"]
        assert (outcome.status, outcome.error.message) == (status, told)
        assert runner.models["alice"].health.strikes == {"predict": Strikes(failures=1)}


@pytest.mark.slow
async def test_an_answer_may_have_up_to_64_mib(on_nodes):
    class Long(Tracker):
        def anything(self, size):
            return "x" * size

    async with node(Long) as alice, on_nodes(alice, policy=Policy(timeout=60)) as runner:
        assert len((await runner.call("anything", 60 << 20))["alice"].value) == 60 << 20

        outcome = (await runner.call("anything", 65 << 20))["alice"]
        assert outcome.status is Status.INVALID
        assert outcome.error.message.startswith("the answer is too large: at most 64 MiB can be sent (")


async def test_an_answer_that_our_side_refuses_is_no_timeout_either(on_nodes):
    class Long(Tracker):
        def anything(self, size):
            return "x" * size

    options = [("grpc.max_send_message_length", -1)]
    async with node(Long, options=options) as alice, on_nodes(alice, policy=Policy(timeout=60)) as runner:
        outcome = (await runner.call("anything", 65 << 20))["alice"]
        assert outcome.status is Status.INVALID
        assert runner.models["alice"].state is State.READY


async def test_a_method_that_a_model_lacks_stops_nobody(on_nodes):
    class Old:
        def predict(self, asset="dove", step=1):
            return 1.0

    async with node(Old) as alice, node(Tracker) as bob, on_nodes(alice, bob) as runner:
        for _ in range(5):
            played = await runner.call("describe")
            assert [outcome.status for outcome in played.values()] == [Status.UNSUPPORTED, Status.OK]
        assert played["alice"].error.message == 'Method "describe" not found in class "Tracker"'
        assert (await runner.predict())["alice"].status is Status.OK


async def test_a_node_whose_code_fails_says_how(on_nodes):
    async def bend(request, context):
        raise KeyError("wrong")

    async with node(Tracker, bend=bend) as alice, on_nodes(alice) as runner:
        outcome = (await runner.predict())["alice"]
        assert outcome.status is Status.RAISED
        assert "KeyError" in outcome.error.message


# Time.


class Gated:
    """Answers once the test lets it."""

    def __init__(self):
        self.gate = asyncio.Event()

    async def predict(self, asset="dove", step=1):
        await self.gate.wait()
        return 1.0

    def tick(self, payload, performance=None):
        pass


async def test_a_model_that_is_late_times_out_and_nobody_waits_for_it(on_nodes):
    async with node(Gated) as alice, node(Tracker) as bob, on_nodes(alice, bob) as runner:
        played = await runner.call("predict", timeout=0.3)

        assert played["alice"].status is Status.TIMEOUT
        assert played["alice"].error.message == "no answer within 0.3 s"
        assert played["bob"].status is Status.OK


async def test_a_model_that_is_still_busy_is_waited_for_within_the_budget(on_nodes):
    async with node(Gated) as alice, on_nodes(alice) as runner:
        await runner.call("predict", timeout=0.1)
        asked = asyncio.create_task(runner.call("tick", {}, timeout=20))
        await asyncio.sleep(0.3)
        alice.instance.gate.set()

        assert (await asked)["alice"].status is Status.OK


async def test_a_round_that_a_busy_model_misses_whole_says_what_it_is_busy_with(on_nodes):
    async with node(Gated) as alice, on_nodes(alice) as runner:
        await runner.call("predict", timeout=0.1)
        missed = (await runner.call("tick", {}, timeout=0.2))["alice"]

        assert missed.status is Status.TIMEOUT
        assert re.fullmatch(
            r"not asked within 0\.2 s: it has been busy with predict for [\d.]+ s", missed.error.message
        )


async def test_a_late_answer_is_never_taken_for_the_next_call(on_nodes, seen):
    async with node(Gated) as alice, on_nodes(alice) as runner:
        await runner.call("predict", timeout=0.1)
        assert runner.models["alice"].state is State.BUSY
        alice.instance.gate.set()
        await seen(lambda: runner.models["alice"].state is State.READY)

        assert (await runner.call("describe"))["alice"].status is Status.UNSUPPORTED


async def test_a_call_that_is_never_answered_costs_only_itself(on_nodes):
    """A SystemExit in a model of the published node leaves the call unanswered, and the node free."""
    async with node(Tracker) as alice, on_nodes(alice) as runner:
        forever = asyncio.Event()

        async def bend(request, context):
            alice.bend = None
            alice.busy = asyncio.Lock()
            await forever.wait()

        alice.bend = bend
        assert (await runner.call("predict", timeout=0.2))["alice"].status is Status.TIMEOUT
        assert (await runner.predict())["alice"].status is Status.OK


async def test_two_rounds_at_once_ask_one_after_the_other(on_nodes):
    async with node(Gated) as alice, on_nodes(alice) as runner:
        first = asyncio.create_task(runner.predict())
        await asyncio.sleep(0)
        second = asyncio.create_task(runner.call("tick", {}))
        third = asyncio.create_task(runner.call("predict"))
        await asyncio.sleep(0.1)
        alice.instance.gate.set()

        for asked in (first, second, third):
            assert (await asked)["alice"].status is Status.OK
        assert [method for method, _, _ in alice.calls] == ["predict", "tick", "predict"]


async def test_a_node_works_through_a_batch_at_its_own_pace(on_nodes, seen):
    async with node(Gated) as alice, node(Tracker) as bob, on_nodes(alice, bob) as runner:
        calls = [MethodCall("tick", [{}]), *[MethodCall("predict", kwargs={"step": step}) for step in (1, 2, 3)]]
        batch = asyncio.create_task(runner.batch(calls))
        await seen(lambda: len(bob.calls) == 4)
        assert [method for method, _, _ in alice.calls] == ["tick", "predict"]
        alice.instance.gate.set()

        told, *answers = await batch
        assert len(told.succeeded) == 2
        assert [round_["bob"].value for round_ in answers] == [3.1, 3.2, 3.3]
        assert all(round_["alice"].status is Status.OK for round_ in answers)


async def test_a_batch_that_is_given_up_asks_a_node_nothing_more(on_nodes, seen):
    async with node(Gated) as alice, on_nodes(alice) as runner:
        batch = asyncio.create_task(runner.batch([MethodCall("predict")] * 5))
        await seen(lambda: alice.calls)
        batch.cancel()
        await asyncio.gather(batch, return_exceptions=True)
        alice.instance.gate.set()

        assert (await runner.call("tick", {}))["alice"].status is Status.OK
        assert [method for method, _, _ in alice.calls] == ["predict", "tick"]


async def test_a_batch_that_cannot_be_sent_asks_a_node_nothing(on_nodes):
    async with node(Tracker) as alice, on_nodes(alice) as runner:
        with pytest.raises(ContractError, match="cannot be sent"):
            await runner.batch([MethodCall("predict"), MethodCall("anything", [object()])])

        assert runner.models["alice"].state is State.READY
        assert alice.calls == []


async def test_a_node_that_is_busy_with_somebody_elses_call_is_asked_again_within_the_budget(on_nodes):
    async with node(Tracker) as alice, on_nodes(alice) as runner:
        async with alice.busy:
            asked = asyncio.create_task(runner.predict())
            await asyncio.sleep(0.2)
        assert (await asked)["alice"].status is Status.OK


async def test_a_node_that_stays_busy_with_somebody_elses_call_is_unreachable_and_gets_no_strike(on_nodes):
    async with node(Tracker) as alice, on_nodes(alice) as runner:
        async with alice.busy:
            for _ in range(4):
                outcome = (await runner.call("predict", timeout=0.5))["alice"]
                assert outcome.status is Status.UNREACHABLE
                assert outcome.error.message == "not asked within 0.5 s: its node is busy with somebody else's call"
        assert runner.models["alice"].health.strikes == {}
        assert (await runner.predict())["alice"].status is Status.OK


async def test_outcomes_come_as_they_are_known(on_nodes):
    async with node(Gated) as alice, node(Tracker) as bob, on_nodes(alice, bob) as runner:
        came = []
        async for outcome in runner.stream("predict"):
            came.append(outcome.model_id)
            alice.instance.gate.set()

        assert came == ["bob", "alice"]


async def test_a_stream_that_is_left_early_frees_its_models(on_nodes, seen):
    async with node(Gated) as alice, node(Tracker) as bob, on_nodes(alice, bob) as runner:
        stream = runner.stream("predict")
        async for _ in stream:
            break
        await stream.aclose()
        alice.instance.gate.set()
        await seen(lambda: runner.models["alice"].state is State.READY)
        assert len((await runner.predict()).succeeded) == 2


# Connections.


async def test_a_node_that_is_restarted_behind_its_port_is_set_up_again_and_told_what_it_missed(on_nodes, log):
    async with node(Tracker) as alice, node(Tracker) as bob:
        runner = on_nodes(alice, bob)
        joined = []

        @runner.on_join
        async def replay(model, runner):
            joined.append(model.id)
            await runner.call("tick", {"replayed": True}, models=[model.id])

        async with runner:
            await runner.tick({"price": 1.0})
            await alice.restart()
            await log.until(ModelReady, "alice", 2)

            assert (await runner.call("describe"))["alice"].value == {"seen": [{"replayed": True}]}
            assert (await runner.call("describe"))["bob"].value == {"seen": [{"replayed": True}, {"price": 1.0}]}
            assert sorted(joined) == ["alice", "alice", "bob"]
            assert runner.models["alice"].health.strikes == {}
            [restarted] = log.of(ModelRestarted)
            assert str(restarted.fault) == "its node was started again and has lost the instance"


async def test_a_call_before_setup_is_noticed_by_the_answer_alone(on_nodes, log):
    async with node(Tracker) as alice, on_nodes(alice) as runner:
        alice.instance = None  # as if the node had lost it without the connection
        outcome = (await runner.predict())["alice"]
        assert outcome.status is Status.UNREACHABLE

        await log.until(ModelReady, "alice", 2)
        assert (await runner.predict())["alice"].status is Status.OK
        assert runner.models["alice"].health.strikes == {}


async def test_a_node_that_has_an_instance_keeps_it_and_is_not_told_its_history_again(on_nodes):
    """The coordinator was started again; the node was not."""
    async with node(Tracker) as alice:
        async with on_nodes(alice) as runner:
            await runner.tick({"price": 1.0})

        again = on_nodes(alice)

        @again.on_join
        async def replay(model, runner):
            raise AssertionError("it knows")

        async with again as runner:
            assert (await runner.call("describe"))["alice"].value == {"seen": [{"price": 1.0}]}
        assert alice.rests == 0


async def test_a_history_that_was_told_by_half_is_told_again_to_a_fresh_instance(on_nodes):
    async with node(Tracker) as alice:
        first = on_nodes(alice, ready_timeout=0.01)
        told = asyncio.Event()

        @first.on_join
        async def half(model, runner):
            await runner.call("tick", {"half": True}, models=[model.id])
            told.set()
            await asyncio.Event().wait()

        async with first:
            await told.wait()
        assert alice.instance is None

        async with on_nodes(alice) as runner:
            assert (await runner.call("describe"))["alice"].value == {"seen": []}


def with_history(runner):
    """It tells every fresh model its history."""

    @runner.on_join
    async def replay(model, runner):
        await runner.call("tick", {"replayed": True}, models=[model.id])

    return runner


async def test_an_instance_of_whose_making_nobody_heard_is_made_again_and_told_its_history(on_nodes):
    async with node(Tracker, lost_setups=1) as alice, with_history(on_nodes(alice)) as runner:
        assert (await runner.call("describe"))["alice"].value == {"seen": [{"replayed": True}]}
        assert (len(alice.setups), alice.rests) == (2, 1)


async def test_an_instance_that_was_made_too_late_is_made_again_when_it_is_readmitted(on_nodes, log):
    made = asyncio.Event()

    async def slowly():
        if not made.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            made.set()
        return Tracker()

    policy = Policy(timeout=5, setup_timeout=1)
    async with node(slowly) as alice, with_history(on_nodes(alice, policy=policy)) as runner:
        failed = await log.until(ModelLoadFailed, "alice")
        assert str(failed.fault) == "making it took longer than 1 s (setup_timeout)"
        await made.wait()
        await runner.readmit("alice")
        await log.until(ModelReady, "alice")
        assert (await runner.call("describe"))["alice"].value == {"seen": [{"replayed": True}]}
        assert alice.rests == 1


async def test_readmitting_starts_with_a_fresh_instance(on_nodes, log):
    async with node(Tracker) as alice, on_nodes(alice) as runner:
        await runner.tick({"price": 1.0})
        await runner.readmit("alice")
        await log.until(ModelReady, "alice", 2)

        assert (await runner.call("describe"))["alice"].value == {"seen": []}


async def test_a_lost_connection_is_no_strike_and_is_found_again(on_nodes, log, seen):
    async with node(Tracker) as alice, node(Tracker) as bob, on_nodes(alice, bob) as runner:
        instance = alice.instance
        await alice.kill()
        await seen(lambda: runner.models["alice"].state is State.UNREACHABLE)
        for _ in range(5):
            played = await runner.predict()
            assert [outcome.status for outcome in played.values()] == [Status.UNREACHABLE, Status.OK]
            assert "its connection has been lost for " in played["alice"].error.message

        alice.instance = instance  # the same process: only the connection was away
        await alice.start()
        await seen(lambda: runner.models["alice"].state is State.READY)
        assert (await runner.predict())["alice"].status is Status.OK
        assert runner.models["alice"].health.strikes == {}
        assert len(alice.setups) == 1
        assert log.of(ModelRestarted) == []


async def test_a_call_under_way_when_the_connection_is_lost_is_unreachable(on_nodes, seen):
    async with node(Gated) as alice, on_nodes(alice) as runner:
        asked = asyncio.create_task(runner.predict())
        await seen(lambda: alice.calls)
        await alice.kill()

        outcome = (await asked)["alice"]
        assert outcome.status is Status.UNREACHABLE
        assert outcome.elapsed < 5  # it does not wait for its budget of 10


async def test_a_connection_that_stays_lost_stops_the_model(on_nodes, log):
    policy = Policy(timeout=5, unreachable_timeout=0.2)
    async with node(Tracker) as alice, node(Tracker) as bob, on_nodes(alice, bob, policy=policy) as runner:
        await alice.kill()
        stopped = await log.until(ModelStopped, "alice")
        assert stopped.reason.startswith("its connection was lost for 0.2 s: ")
        assert "Connection refused" in stopped.reason

        played = await runner.predict()
        assert [outcome.status for outcome in played.values()] == [Status.SKIPPED, Status.OK]


@pytest.mark.slow
async def test_when_most_of_the_field_is_lost_nobody_is_stopped(on_nodes, log, seen):
    """It is the coordinator's own network then."""
    policy = Policy(timeout=5, unreachable_timeout=3)
    async with node(Tracker) as a, node(Tracker) as b, node(Tracker) as c, node(Tracker) as d, node(Tracker) as e:
        field = [a, b, c, d, e]
        async with on_nodes(*field, policy=policy) as runner:
            for one in field:
                await one.kill()
            fault = await log.until(FieldFault)
            assert (fault.method, fault.failed, fault.asked) == ("connect", 5, 5)
            assert log.of(ModelStopped) == []
            assert len(log.of(FieldFault)) == 1

            for one in field:
                await one.start()
            for name in ("alice", "bob", "carol", "dave", "erin"):
                await log.until(ModelReady, name, 2)
            assert log.of(ModelStopped) == []
            assert len((await runner.predict()).succeeded) == 5


async def test_a_join_on_a_dead_port_delays_nobody(on_nodes, log):
    """Against the same rounds and joins without it, not against the clock."""
    async with node(Tracker) as alice, node(Tracker) as bob:
        began = asyncio.get_running_loop().time()
        async with on_nodes(alice, bob) as runner:
            for _ in range(20):
                assert len((await runner.predict()).succeeded) == 2
        without = asyncio.get_running_loop().time() - began

        began = asyncio.get_running_loop().time()
        dead = Policy(timeout=5, setup_timeout=30)
        async with on_nodes(alice, bob, free_port(), policy=dead, ready_timeout=0.0) as runner:
            await log.until(ModelReady, "alice", 2)
            await log.until(ModelReady, "bob", 2)
            for _ in range(20):
                played = await runner.predict()
                assert len(played.succeeded) == 2
                assert played["carol"].error.kind == "joining"
        assert asyncio.get_running_loop().time() - began < without + 20 * 0.050 + 1.0


async def test_a_setup_that_hangs_delays_nobody_and_fails_in_its_own_time(on_nodes, log):
    async def never():
        await asyncio.Event().wait()

    policy = Policy(timeout=5, setup_timeout=0.5)
    async with (
        node(never) as alice,
        node(Tracker) as bob,
        on_nodes(alice, bob, policy=policy, ready_timeout=0) as runner,
    ):
        await log.until(ModelReady, "bob")
        assert (await runner.predict())["bob"].status is Status.OK
        failed = await log.until(ModelLoadFailed, "alice")
        assert str(failed.fault) == "making it took longer than 0.5 s (setup_timeout)"
        assert (await runner.predict())["bob"].status is Status.OK
        reached = True
    assert reached, "the body of the runner was cut off"


async def test_a_model_that_leaves_while_it_is_set_up_takes_nobody_with_it(running, log, snapshots):
    """gRPC cancels once more what anyio has cancelled; no scope knew it for its own then, and the game ended."""

    async def never():
        await asyncio.Event().wait()

    async with node(never) as alice, node(Tracker) as bob:
        stays = Submission("bob", f"127.0.0.1:{bob.port}")
        told = snapshots(Submission("alice", f"127.0.0.1:{alice.port}"), stays)
        async with running(told, host=NodeHost(), ready_timeout=0) as runner:
            await log.until(ModelReady, "bob")
            await anyio.sleep(0.1)
            told.tell(stays)
            await log.until(ModelLeft, "alice")
            await anyio.sleep(0.1)
            assert (await runner.predict())["bob"].status is Status.OK
            reached = True
        assert reached, "the body of the runner was cut off"


async def test_a_node_that_never_listens_says_where_and_why(on_nodes, log):
    port = free_port()
    async with on_nodes(port, policy=Policy(timeout=5, setup_timeout=0.3), ready_timeout=0):
        failed = await log.until(ModelLoadFailed, "alice")
        assert failed.fault.kind == "unreachable"
        assert failed.fault.message.startswith(f"its node at 127.0.0.1:{port} could not be reached within 0.3 s: ")
        assert "Connection refused" in failed.fault.message


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (ImportError("No Inherited class found"), "BAD_IMPLEMENTATION", "No Inherited class found"),
        (ValueError("no such horizon"), "SETUP_FAILED", "no such horizon"),
    ],
)
async def test_a_model_that_cannot_be_made_says_why(on_nodes, log, error, kind, told):
    def fail():
        raise error

    async with node(fail) as alice, on_nodes(alice) as runner:
        failed = await log.until(ModelLoadFailed, "alice")
        assert (failed.fault.kind, failed.fault.message) == (kind, told)
        assert (await runner.predict())["alice"].status is Status.SKIPPED


async def test_what_is_no_model_node_says_so(on_nodes, log):
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with on_nodes(port):
            failed = await log.until(ModelLoadFailed, "alice")
            assert failed.fault.message.startswith("there is no model node at its address")
    finally:
        await server.stop(None)


def in_use() -> tuple[int, int]:
    """Descriptors and tasks."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks())


@pytest.mark.slow
async def test_nothing_is_left_when_the_game_is_over(on_nodes, seen):
    async with node(Tracker) as alice, node(Gated) as bob:

        async def play() -> None:
            async with on_nodes(alice, bob, free_port(), ready_timeout=0.3) as runner:
                await runner.call("predict", timeout=0.1)

        await play()
        descriptors, tasks = in_use()
        for _ in range(3):
            await play()
        await seen(lambda: in_use()[0] <= descriptors + 1 and in_use()[1] <= tasks)


def test_bytes_that_are_no_message_are_no_answer():
    from crunch_game.crunchdao.client._replies import has_instance, reply_of_answer

    reply = reply_of_answer(b"\xff", 0.1)
    assert (reply.trigger, reply.fault.message) == ("invalid", "its node answered with a message that cannot be read")
    with pytest.raises(DecodeError):
        has_instance(b"\xff")


async def test_a_connection_that_is_lost_while_history_is_told_starts_the_history_over(on_nodes, log):
    async with node(Tracker) as alice:
        runner = on_nodes(alice)
        attempts = []

        @runner.on_join
        async def replay(model, runner):
            attempts.append(model.id)
            await runner.call("tick", {"row": 1}, models=[model.id])
            if len(attempts) == 1:
                await alice.kill()
                await alice.start()
            await runner.call("tick", {"row": 2}, models=[model.id])

        async with runner:
            await log.until(ModelReady, "alice")
            assert (await runner.call("describe"))["alice"].value == {"seen": [{"row": 1}, {"row": 2}]}
            assert log.of(ModelLoadFailed) == []


async def test_a_late_model_can_be_started_afresh(on_nodes, log):
    policy = Policy(timeout=10, on_timeout="restart", max_consecutive_timeouts=0)
    async with node(Gated) as alice, on_nodes(alice, policy=policy) as runner:
        hanging = alice.instance
        await runner.call("predict", timeout=0.1)
        await log.until(ModelRestarted, "alice")
        hanging.gate.set()  # a node cannot be interrupted: it is waited for
        await log.until(ModelReady, "alice", 2)

        assert alice.instance is not hanging
        assert (await runner.tick({}))["alice"].status is Status.OK


async def test_a_model_that_is_stopped_ends_its_call_at_once(on_nodes, seen):
    async with node(Gated) as alice, node(Tracker) as bob, on_nodes(alice, bob) as runner:
        asked = asyncio.create_task(runner.predict())
        await seen(lambda: alice.calls)
        await runner.stop("alice", "enough")

        played = await asked
        assert [outcome.status for outcome in played.values()] == [Status.SKIPPED, Status.OK]
        assert played["alice"].error.message == "it was stopped: enough"
        assert played.elapsed < 5  # of the budget of 10


async def test_a_cancelled_round_leaves_everything_as_it_was(on_nodes, seen):
    async with node(Gated) as alice, on_nodes(alice) as runner:
        asked = asyncio.create_task(runner.predict())
        await seen(lambda: alice.calls)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        alice.instance.gate.set()
        await seen(lambda: runner.models["alice"].state is State.READY)
        assert (await runner.predict())["alice"].status is Status.OK


async def test_a_call_without_optional_arguments_is_itself_though_others_had_to_be_named(on_nodes):
    def bend(request, context):
        args, _ = variants.values(request.methodArguments, request.methodKwArguments)
        text = "The model raised an exception: tick() takes 2 positional arguments but 3 were given"
        code = m.ReplyCode.MODEL_FAILED if len(args) > 1 else m.ReplyCode.SUCCESS
        return m.CallResponse(status=m.Status(code=code, message=text if len(args) > 1 else ""))

    async with node(Tracker, bend=bend) as alice, on_nodes(alice) as runner:
        await runner.tick({"price": 1.0}, {"score": 2.0})
        assert (await runner.tick({"price": 2.0}))["alice"].status is Status.OK
        assert [request.methodName for request in alice.requests] == ["tick"] * 3


async def test_calls_that_are_never_answered_are_not_kept_for_good(on_nodes):
    forever = asyncio.Event()

    async with node(Tracker) as alice:

        async def bend(request, context):
            alice.busy = asyncio.Lock()
            await forever.wait()

        alice.bend = bend
        async with on_nodes(alice, policy=Policy(timeout=0.05, max_consecutive_timeouts=0)) as runner:
            for _ in range(20):
                assert (await runner.predict())["alice"].status is Status.TIMEOUT
            waiting = [task for task in asyncio.all_tasks() if "_talk" in repr(task)]
            assert len(waiting) <= 5
