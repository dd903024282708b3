"""A batch: several calls go out together, and each model works through them at its own pace."""

from __future__ import annotations

import time

import anyio
import pytest

from crunch_game import InlineHost, MethodCall, Policy, Status
from crunch_game.errors import ContractError, UnknownModel
from crunch_game.events import ModelReady, ModelRestarted, ModelStopped
from crunch_game.policy import State, Strikes

pytestmark = pytest.mark.anyio

HOSTS = pytest.mark.parametrize("host", ["process", "inline"])


def asks(*numbers, **options) -> list[MethodCall]:
    return [MethodCall("predict", [number], key=f"predict({number})", **options) for number in numbers]


@pytest.fixture
def noting(submit, files):
    """A submission whose `predict` keeps a note of when it was asked and what, before it does what it does."""

    def write(name: str, does: str):
        path = files / name
        return submit(
            name,
            f"""
            def predict(self, number):
                with open({str(path)!r}, "a") as file:
                    print(number, time.monotonic(), file=file)
                {does}
                return number
            """,
        )

    return write


@pytest.fixture
def noted(files):
    """What a model was asked, and when."""

    def read(name: str) -> list[tuple[int, float]]:
        lines = (files / name).read_text().splitlines() if (files / name).exists() else []
        return [(int(number), float(when)) for number, when in (line.split() for line in lines)]

    return read


@HOSTS
async def test_a_batch_gives_a_round_for_each_call_in_their_order_with_everyone_in_it(submit, field, running, host):
    models = [*field(a="", b=""), submit("broken", "def __init__(self):\n    raise ValueError('no')\n")]
    async with running(models, host=host) as runner:
        calls = [MethodCall("predict", [1]), MethodCall("tick"), MethodCall("predict", (), {"number": 3})]
        first, second, third = await runner.batch(calls)
        assert [round_.method for round_ in (first, second, third)] == ["predict", "tick", "predict"]
        for round_, value in ((first, 1), (second, None), (third, 3)):
            assert [(name, outcome.status, outcome.value) for name, outcome in round_.items()] == [
                ("a", Status.OK, value),
                ("b", Status.OK, value),
                ("broken", Status.SKIPPED, None),
            ]
        assert first.elapsed <= second.elapsed <= third.elapsed
        assert await runner.batch([]) == []
        assert await runner.batch(asks(1), models=[]) == [{}]
        [only] = await runner.batch(asks(1), models=lambda model: model.id == "b")
        assert list(only) == ["b"]


async def test_a_slow_model_makes_nobody_else_wait(noting, noted, running, patience):
    """Thirteen questions; one takes nine tenths of its budget for each."""
    budget, others = 0.5, ["a", "b", "c"]
    models = [noting("slow", f"time.sleep({0.9 * budget})"), *(noting(name, "pass") for name in others)]
    policy = Policy(timeout=budget, max_consecutive_timeouts=0)
    async with running(models, policy=policy) as runner:
        await runner.batch(asks(0), models=others)  # who has never been asked has something to learn first
        began = time.monotonic()
        with anyio.fail_after(13 * budget + patience):
            played = await runner.batch(asks(*range(1, 14)))
    assert [len(round_) for round_ in played] == [4] * 13
    second_answer = noted("slow")[1][1] + 0.9 * budget
    for name in others:
        assert [number for number, _ in noted(name)] == list(range(14))
        assert noted(name)[-1][1] < second_answer
        assert all(round_[name].status is Status.OK for round_ in played)
    assert noted("slow")[0][1] - began < patience
    assert all(round_["slow"].elapsed < budget + patience for round_ in played)


async def test_what_is_over_before_a_late_model_gets_to_it_is_never_begun(noting, noted, running):
    does = "time.sleep(0.9 if number == 1 else 0)"
    policy = Policy(timeout=10, max_consecutive_timeouts=0)
    async with running([noting("late", does)], policy=policy) as runner:
        calls = [MethodCall("predict", [number], timeout=0.3 if number < 3 else 20.0) for number in range(1, 6)]
        played = [round_["late"] for round_ in await runner.batch(calls)]
    assert [outcome.status for outcome in played] == [Status.TIMEOUT] * 2 + [Status.OK] * 3
    assert played[0].error.message == "no answer within 0.3 s"
    assert played[1].error.message.startswith("not asked within 0.3 s: it has been busy with predict for ")
    assert [number for number, _ in noted("late")] == [1, 3, 4, 5]


@HOSTS
async def test_one_bad_moment_is_one_strike_for_each_key_and_three_slots_of_one_key_stop(submit, running, log, host):
    moody = """
    def take(self, *numbers):
        self.bad = numbers
    def predict(self, number):
        if number in self.bad:
            raise ValueError("no")
        return number
    """
    async with running([submit("moody", moody)], host=host) as runner:
        await runner.call("take", *range(13))
        assert all(not round_.succeeded for round_ in await runner.batch(asks(*range(13))))
        assert runner.models["moody"].state is State.READY
        assert runner.models["moody"].health.strikes == {f"predict({n})": Strikes(failures=1) for n in range(13)}
        await runner.call("take", 7)
        await runner.batch(asks(*range(13)))
        assert runner.models["moody"].health.strikes == {"predict(7)": Strikes(failures=2)}
        assert (await runner.call("predict", 7, key="predict(7)"))["moody"].status is Status.RAISED
        assert runner.models["moody"].state is State.STOPPED
        [stopped] = log.of(ModelStopped)
        assert stopped.reason == "3 failures of predict(7) in a row (the limit is 3); the last: ValueError: no"


@HOSTS
async def test_a_call_that_cannot_be_made_leaves_all_of_them_unmade(noting, noted, running, host):
    async with running([noting("a", "pass")], host=host) as runner:
        for bad, what in (
            (MethodCall("foretell"), "foretell"),
            (MethodCall("predict"), "number"),
            (MethodCall("predict", ["one"]), "number"),
            (MethodCall("predict", [1], timeout=-1.0), "the timeout of predict is -1.0"),
            (MethodCall("predict", [1], key=""), "the key of predict is ''; it must be text"),
            (MethodCall("take", [object()]), "cannot be sent"),
            (MethodCall("take", per_model=lambda model: {"own": object()}), "cannot be sent"),
        ):
            with pytest.raises(ContractError, match=what):
                await runner.batch([*asks(1, 2), bad])
            assert runner.models["a"].state is State.READY
        with pytest.raises(ZeroDivisionError):
            await runner.batch([*asks(1, 2), MethodCall("take", per_model=lambda model: 1 // 0)])
        with pytest.raises(UnknownModel):
            await runner.batch(asks(1), models=["nobody"])
        assert noted("a") == []
        [after] = await runner.batch(asks(3))
        assert after["a"].value == 3
        assert [number for number, _ in noted("a")] == [3]


@HOSTS
async def test_each_model_gets_its_own_arguments_in_each_call(field, running, host):
    takes = "def take(self, *args, **own):\n    self.own = own\ndef predict(self, number):\n    return self.own\n"
    async with running(field(a=takes, b=takes), host=host) as runner:
        calls = [
            MethodCall("take", per_model=lambda model: {"me": model.id}),
            MethodCall("predict", [1]),
            MethodCall("take", per_model=lambda model: {"me": 2} if model.id == "b" else {}),
            MethodCall("predict", [1]),
        ]
        _, first, _, second = await runner.batch(calls)
        assert {name: outcome.value for name, outcome in first.items()} == {"a": {"me": "a"}, "b": {"me": "b"}}
        assert {name: outcome.value for name, outcome in second.items()} == {"a": {}, "b": {"me": 2}}


async def test_large_arguments_go_in_a_batch_too(field, running):
    takes = "def take(self, *args):\n    self.total = sum(args[0])\ndef predict(self, number):\n    return self.total\n"
    async with running(field(a=takes, b=takes)) as runner:
        large = [float(number) for number in range(50_000)]
        calls = [MethodCall("take", [large]), MethodCall("predict", [1]), MethodCall("take", [[1.0]]), *asks(2)]
        _, first, _, second = await runner.batch(calls)
        assert {outcome.value for outcome in first.values()} == {sum(large)}
        assert {outcome.value for outcome in second.values()} == {1.0}


async def test_a_model_that_dies_in_a_batch_is_started_again_and_the_rest_never_reached_it(field, running, log):
    dies = "def predict(self, number):\n    if number == 2:\n        os._exit(3)\n    return number\n"
    async with running(field(dies=dies, lives="")) as runner:
        played = await runner.batch(asks(1, 2, 3, 4))
        statuses = [round_["dies"].status for round_ in played]
        assert statuses == [Status.OK, Status.DIED, Status.SKIPPED, Status.SKIPPED]
        assert played[2]["dies"].elapsed == 0.0
        assert [len(round_.succeeded) for round_ in played] == [2, 1, 1, 1]
        assert (await log.until(ModelRestarted)).model_id == "dies"
        assert runner.models["dies"].health.strikes == {"predict(2)": Strikes(failures=1)}
        await log.until(ModelReady, "dies", 2)
        assert [round_["dies"].value for round_ in await runner.batch(asks(5, 6))] == [5, 6]


async def test_a_batch_that_is_given_up_leaves_the_models_free_for_the_next(noting, noted, running, seen):
    async with running([noting("a", "time.sleep(0.05)")]) as runner:
        with anyio.move_on_after(0.02):
            await runner.batch(asks(1, 2, 3))
        [played] = await runner.batch(asks(4))
        assert played["a"].value == 4
        await seen(lambda: runner.models["a"].state is State.READY)


async def test_two_batches_at_once_are_worked_through_one_after_the_other(noting, noted, running):
    async with running([noting("a", "pass")]) as runner, anyio.create_task_group() as tasks:
        results = {}

        async def play(name, *numbers):
            results[name] = [round_["a"].value for round_ in await runner.batch(asks(*numbers))]

        tasks.start_soon(play, "one", *range(10))
        tasks.start_soon(play, "two", *range(10, 20))
    assert results == {"one": list(range(10)), "two": list(range(10, 20))}
    numbers = [number for number, _ in noted("a")]
    assert numbers in ([*range(20)], [*range(10, 20), *range(10)])


# A budget begins when our own earlier calls free the model.


@HOSTS
async def test_two_requests_at_once_strike_nobody(submit, running, host):
    """As a web application makes them: each takes six tenths of its budget, and they come together."""
    naps = "def predict(self, number):\n    time.sleep(0.6)\n    return number\n"
    async with running([submit("naps", naps)], policy=Policy(timeout=1.0), host=host) as runner:
        outcomes = []

        async def request(number: int) -> None:
            outcomes.append((await runner.predict(number))["naps"])

        async with anyio.create_task_group() as tasks:
            for number in (1, 2, 3):
                tasks.start_soon(request, number)
        assert [outcome.status for outcome in outcomes] == [Status.OK] * 3
        assert sorted(outcome.value for outcome in outcomes) == [1, 2, 3]
        assert all(0.6 <= outcome.elapsed <= 1.0 for outcome in outcomes), "each from when its budget began"
        assert runner.models["naps"].health.strikes == {}


async def test_only_the_call_that_is_held_past_its_own_budget_counts(submit, running):
    naps = "def predict(self, number):\n    time.sleep(number)\n    return number\n"
    async with running([submit("naps", naps)]) as runner:
        outcomes = {}

        async def request(number: int, timeout: float) -> None:
            outcomes[number] = (await runner.call("predict", number, timeout=timeout, key=f"{number}"))["naps"]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(request, 1, 0.3)
            await anyio.sleep(0.1)
            tasks.start_soon(request, 0, 20.0)
        assert (outcomes[1].status, outcomes[0].status) == (Status.TIMEOUT, Status.OK)
        assert runner.models["naps"].health.strikes == {"1": Strikes(timeouts=1)}


async def test_a_host_that_knows_no_batches_is_asked_in_order(noting, running):
    """Any Host will do: it gets the calls as asks that run at the same time."""

    class Plain:
        def __init__(self) -> None:
            self.host = InlineHost()
            self.open, self.start, self.stop, self.close = (
                getattr(self.host, name) for name in ("open", "start", "stop", "close")
            )

        def ask(self, call, asked, *, each):
            return self.host.ask(call, asked, each=each)

    async with running([noting("a", "pass")], host=Plain()) as runner:
        played = await runner.batch(asks(*range(13)))
        assert [round_["a"].value for round_ in played] == list(range(13))
        with pytest.raises(ContractError, match="cannot be sent"):
            await runner.batch([MethodCall("take", [object()]), *asks(1)])
        assert runner.models["a"].state is State.READY
