"""Calling: one outcome for every model asked, always, by the budget, and nobody in anybody's way."""

from __future__ import annotations

import os
import time
from functools import partial

import anyio
import numpy
import pandas
import pytest

from crunch_game import ContractError, ModelRunner, Policy, ResourceError, Status, UnknownModel, UsageError
from crunch_game.events import FieldFault, LoopBlocked, ModelReady, ModelStopped
from crunch_game.policy import State

pytestmark = pytest.mark.anyio

HANGS = "def predict(self, number):\n    time.sleep(600)\n"
RAISES = "def predict(self, number):\n    raise ValueError(f'number {number} is not for me')\n"
HOSTS = pytest.mark.parametrize("host", ["process", "inline"])


async def test_every_model_asked_has_an_outcome_whatever_became_of_it(field, submit, running):
    models = [
        *field(healthy="", stopped="", raises=RAISES, hangs=HANGS),
        submit("dies", "def predict(self, number):\n    os._exit(3)\n"),
        submit("fails", above="import nonexistent_thing"),
        submit("joins", above="time.sleep(600)"),
    ]
    policy = Policy(timeout=1.0, max_consecutive_failures=0)
    async with running(models, policy=policy, ready_timeout=1.0) as runner:
        await runner.stop("stopped", "it is Tuesday")
        asked = await runner.predict(1)
        assert list(asked) == [path.stem for path in models]
        assert {model_id: outcome.status for model_id, outcome in asked.items()} == {
            "healthy": Status.OK,
            "stopped": Status.SKIPPED,
            "raises": Status.RAISED,
            "hangs": Status.TIMEOUT,
            "dies": Status.DIED,
            "fails": Status.SKIPPED,
            "joins": Status.SKIPPED,
        }
        assert list(asked.succeeded) == ["healthy"]
        assert asked["stopped"].error.message == "it was stopped: it is Tuesday"
        assert asked["stopped"].error.kind == "stopped"
        assert asked["fails"].error.message == (
            "it could not be loaded: fails.py: importing it raised "
            "ModuleNotFoundError: No module named 'nonexistent_thing'"
        )
        assert asked["joins"].error.message.startswith("it has been loading for ")
        assert asked["raises"].error.message == "ValueError: number 1 is not for me"
        assert "in predict\n    raise ValueError" in asked["raises"].error.traceback
        assert asked["hangs"].error.message == "no answer within 1 s"
        again = await runner.predict(2)
        assert list(again) == list(asked)
        assert all(outcome.error is not None for outcome in again.values() if outcome.status is not Status.OK)


async def test_a_model_that_waits_for_its_restart_is_skipped_with_the_reason(submit, running, log):
    dies = submit("dies", "def predict(self, number):\n    os._exit(3)\n")
    async with running([dies], policy=Policy(timeout=10, max_consecutive_failures=0)) as runner:
        for death in (1, 2, 3):
            assert (await runner.predict(1))["dies"].status is Status.DIED
            if death < 3:
                await log.until(ModelReady, "dies", 1 + death)
        skipped = (await runner.predict(1))["dies"]
        assert skipped.status is Status.SKIPPED
        assert skipped.error.message.startswith("it is being restarted: its process ended during predict: exit code 3;")
        assert (skipped.elapsed, skipped.value) == (0.0, None)


@HOSTS
async def test_models_are_selected_by_id_by_predicate_or_not_at_all(field, running, host):
    async with running(field(a="", b="", c=""), host=host) as runner:
        assert list(await runner.call("predict", 1, models=["c", "a"])) == ["c", "a"]
        assert list(await runner.call("predict", 1, models=["a", "a"])) == ["a"]
        assert list(await runner.call("predict", 1, models="b")) == ["b"]
        assert list(await runner.call("predict", 1, models=lambda model: model.id > "a")) == ["b", "c"]
        assert dict(await runner.call("predict", 1, models=[])) == {}
        assert dict(await runner.call("predict", 1, models=lambda model: False)) == {}
        assert [outcome async for outcome in runner.stream("predict", 1, models=[])] == []


async def test_an_id_that_was_never_in_the_game_is_an_error_that_names_those_that_are(field, running):
    async with running(field(a="", b=""), host="inline") as runner:
        with pytest.raises(UnknownModel) as caught:
            await runner.call("predict", 1, models=["a", "nobody"])
        assert str(caught.value) == "there is no model 'nobody' in the game; there is a, b"
        for method in (runner.readmit("nobody"), runner.stop("nobody", "why")):
            with pytest.raises(UnknownModel):
                await method


async def test_half_the_field_hangs_and_the_round_is_in_time_and_says_so_for_each(field, running):
    models = field(**{f"hangs{i}": HANGS for i in range(5)}, **{f"good{i}": "" for i in range(5)})
    policy = Policy(timeout=1.0, max_consecutive_timeouts=0)
    async with running(models, policy=policy) as runner:
        for number in range(2):
            began = time.monotonic()
            asked = await runner.predict(number)
            took = time.monotonic() - began
            assert 1.0 <= took <= 1.1
            assert asked.elapsed <= took
            for model_id, outcome in asked.items():
                if model_id.startswith("good"):
                    assert (outcome.status, outcome.value) == (Status.OK, number)
                    assert outcome.elapsed < 1.0
                else:
                    assert outcome.status is Status.TIMEOUT
                    assert outcome.error.kind == ("busy" if number else "timeout")
                    assert outcome.budget == 1.0


async def test_a_round_missed_whole_is_one_timeout_that_names_what_the_model_is_busy_with(submit, running):
    slow = submit(
        "slow", "def tick(self, data=None):\n    time.sleep(600)\ndef predict(self, number):\n    return number\n"
    )
    async with running([slow], policy=Policy(timeout=0.3)) as runner:
        assert (await runner.tick())["slow"].error.message == "no answer within 0.3 s"
        missed = (await runner.predict(1))["slow"]
        assert missed.status is Status.TIMEOUT
        head, _, seconds = missed.error.message.partition(" for ")
        assert head == "not asked within 0.3 s: it has been busy with tick"
        assert 0.6 <= float(seconds.removesuffix(" s")) < 5.0
        assert runner.models["slow"].state is State.BUSY


async def test_a_model_still_busy_is_waited_for_and_asked_with_what_remains(submit, running, files):
    gate = files / "gate"
    busy = submit(
        "busy",
        f"""
        def tick(self, data=None):
            while not os.path.exists({str(gate)!r}):
                time.sleep(0.005)
        def predict(self, number):
            return number
        """,
    )
    async with running([busy]) as runner:
        assert (await runner.call("tick", timeout=0.1))["busy"].status is Status.TIMEOUT
        async with anyio.create_task_group() as tasks:

            async def ask():
                asked = (await runner.predict(7))["busy"]
                assert (asked.status, asked.value) == (Status.OK, 7)
                assert asked.elapsed < 10

            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            gate.touch()


async def test_the_authors_code_blocks_the_loop_and_nobody_has_a_timeout(field, running, log):
    models = field(
        **{f"m{i}": "def predict(self, number):\n    time.sleep(0.3)\n    return number\n" for i in range(4)}
    )
    async with running(models, policy=Policy(timeout=0.9)) as runner, anyio.create_task_group() as tasks:

        async def block():
            time.sleep(1.5)  # noqa: ASYNC251 - this is the very fault

        tasks.start_soon(block)
        asked = await runner.predict(5)
        assert [outcome.value for outcome in asked.values()] == [5] * 4
        assert (await log.until(LoopBlocked)).seconds > 0.5


async def test_a_blocked_loop_makes_no_late_answer_a_timely_one(submit, running):
    slow = submit("slow", "def predict(self, number):\n    time.sleep(0.8)\n    return number\n")
    async with running([slow]) as runner, anyio.create_task_group() as tasks:

        async def block():
            time.sleep(1.2)  # noqa: ASYNC251

        tasks.start_soon(block)
        assert (await runner.call("predict", 5, timeout=0.4))["slow"].status is Status.TIMEOUT


@HOSTS
async def test_a_call_that_breaks_the_contract_calls_no_model(submit, running, host, files):
    spy = submit("spy", f"def predict(self, number):\n    open({str(files / 'asked')!r}, 'a').write('x')\n")
    async with running([spy], host=host) as runner:
        for wrong in (
            lambda: runner.predict("one"),
            lambda: runner.predict(),
            lambda: runner.predict(1, 2, 3),
            lambda: runner.predict(1, horizon=3),
            lambda: runner.call("guess"),
            lambda: runner.call("predict", 1, timeout=0),
            lambda: runner.call("predict", 1, timeout=float("nan")),
            lambda: runner.call("predict", 1, per_model=lambda model: {"horizon": 1}),
            lambda: runner.call("predict", 1, per_model=lambda model: {"number": 1}),
        ):
            with pytest.raises(ContractError):
                await wrong()
            assert runner.models["spy"].state is State.READY
        assert not (files / "asked").exists()


@HOSTS
async def test_arguments_that_cannot_be_sent_call_no_model_and_leave_none_busy(submit, running, host, files):
    spy = "def take(self, *args, **kwargs):\n    open({!r}, 'a').write('x')\ndef predict(self, number): pass\n"
    models = [submit(name, spy.format(str(files / name))) for name in ("a", "b")]
    async with running(models, host=host) as runner:
        with pytest.raises(ContractError) as caught:
            await runner.call("take", object())
        assert str(caught.value) == (
            "the arguments of arena.Base.take cannot be sent: "
            "a object cannot be sent; use numbers, str, list or dict instead"
        )
        with pytest.raises(ContractError):
            await runner.call("take", per_model=lambda model: {"x": object() if model.id == "b" else 1})
        assert {model.state for model in runner.models.values()} == {State.READY}
        assert not list(files.iterdir())


async def test_the_contract_error_for_arguments_over_the_frame_cap(field, running):
    async with running(field(a="")) as runner:
        with pytest.raises(ContractError, match=r"cannot be sent: it takes 65 MiB; at most 64 MiB can be sent"):
            await runner.tick(b"x" * (65 << 20))
        assert (await runner.predict(1))["a"].value == 1


@HOSTS
async def test_a_method_that_a_factorys_model_lacks_is_unsupported_and_no_strike(submit, running, host, tmp_path):
    duck = tmp_path / "duck.py"
    duck.write_text("class Duck:\n    def predict(self, number):\n        return number\n\ncreate_model = Duck\n")
    async with running([duck], host=host, policy=Policy(timeout=10, max_consecutive_failures=1)) as runner:
        for number in range(3):
            asked = (await runner.call("measure", 1))["duck"]
            assert asked.status is Status.UNSUPPORTED
            assert asked.error.message == "the model, of class Duck, has no method measure"
            assert (await runner.predict(number))["duck"].value == number


@HOSTS
async def test_a_model_cannot_change_what_the_others_and_the_game_see(field, running, host):
    vandal = """
    def tick(self, data):
        seen = str(data)
        data["prices"].append(666)
        data.clear()
        self.seen = seen
    def predict(self, number):
        return self.seen
    """
    async with running(field(a=vandal, b=vandal, c=vandal), host=host) as runner:
        data = {"prices": [1.0, 2.0]}
        await runner.tick(data)
        assert data == {"prices": [1.0, 2.0]}
        assert {outcome.value for outcome in (await runner.predict(1)).values()} == {str(data)}


@HOSTS
async def test_arrays_and_tables_arrive_as_what_they_are_and_each_model_has_its_own(submit, running, host):
    methods = """
    def take(self, array, table):
        self.seen = [float(array.sum()), float(table["price"].sum()), type(array).__name__, type(table).__name__]
        array[:] = 0
        table["price"] = 0.0
    def predict(self, number):
        return self.seen
    """
    models = [submit(name, methods) for name in ("a", "b")]
    async with running(models, host=host) as runner:
        array, table = numpy.arange(6.0).reshape(2, 3), pandas.DataFrame({"price": [1.0, 2.0]})
        taken = await runner.call("take", array, table)
        assert [outcome.status for outcome in taken.values()] == [Status.OK] * 2, taken["a"].error
        for outcome in (await runner.predict(1)).values():
            assert outcome.value == [15.0, 3.0, "ndarray", "DataFrame"]
        assert array.sum() == 15.0
        assert table["price"].sum() == 3.0


@HOSTS
async def test_each_model_gets_its_own_further_arguments(field, running, host):
    echo = "def predict(self, number):\n    return self.got\ndef take(self, *args, **kwargs):\n    self.got = kwargs\n"
    async with running(field(a=echo, b=echo, c=echo), host=host) as runner:
        await runner.call("take", all=1, per_model=lambda m: {} if m.id == "c" else {"mine": m.id})
        asked = await runner.predict(1)
        assert [asked[i].value for i in "abc"] == [{"all": 1, "mine": "a"}, {"all": 1, "mine": "b"}, {"all": 1}]
        with pytest.raises(ContractError, match=r"all given both to all and per model"):
            await runner.call("take", all=1, per_model=lambda m: {"all": 2})


async def test_large_arguments_reach_every_model_the_busy_ones_later_and_leave_nothing_open(submit, running, files):
    methods = """
    def take(self, *args, gate=None, mine=None, **kwargs):
        while gate and not os.path.exists(gate):
            time.sleep(0.005)
        self.got = [len(args[0]), float(args[1].sum()), float(args[2]["price"].sum()), mine] if args else None
        if args:
            args[1][:] = 0.0
    def predict(self, number):
        return self.got
    """
    large = [0.5] * 50_000, numpy.ones(300_000), pandas.DataFrame({"price": [2.0] * 50_000})
    async with running([submit(name, methods) for name in "abc"]) as runner:
        await runner.call("take")
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        await runner.call("take", timeout=0.1, models="c", gate=str(files / "gate"))  # c is busy with it now
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(runner.call, "take", *large, per_model=lambda model: {"mine": model.id}))
            await anyio.wait_all_tasks_blocked()
            (files / "gate").touch()
        asked = await runner.predict(1)
        assert [asked[name].value for name in "abc"] == [[50_000, 300_000.0, 100_000.0, name] for name in "abc"]
        assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


async def test_arguments_larger_than_the_wire_takes_call_no_model(field, running):
    async with running(field(a="")) as runner:
        with pytest.raises(ContractError, match="take cannot be sent: it takes 72 MiB; at most 64 MiB can be sent"):
            await runner.call("take", "x" * 75_000_000)
        assert (await runner.predict(1))["a"].value == 1


async def test_concurrent_calls_reach_each_model_one_at_a_time(submit, running):
    methods = """
    inside = False
    def predict(self, number):
        assert not self.inside
        self.inside = True
        time.sleep(0.02)
        self.inside = False
        return number
    """
    async with running([submit(name, methods) for name in "ab"]) as runner:
        answers = {}

        async def ask(number):
            asked = await runner.predict(number)
            answers[number] = {model_id: outcome.value for model_id, outcome in asked.items()}

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(ask, number)
        assert answers == {number: {"a": number, "b": number} for number in range(8)}
        assert {model.state for model in runner.models.values()} == {State.READY}


async def test_a_stream_gives_outcomes_as_they_come_and_counts_strikes_at_the_end(submit, running, files):
    slow = f"def predict(self, number):\n    while not os.path.exists({str(files / 'gate')!r}): time.sleep(0.005)\n"
    models = [submit("slow", slow), submit("raises", RAISES), submit("quick")]
    async with running(models, policy=Policy(timeout=10, max_consecutive_failures=1)) as runner:
        seen = []
        async for outcome in runner.stream("predict", 1):
            seen.append(outcome.model_id)
            if len(seen) == 2:
                assert runner.models["raises"].health.strikes == {}
                (files / "gate").touch()
        assert seen[-1] == "slow"
        assert sorted(seen) == ["quick", "raises", "slow"]
        assert runner.models["raises"].state is State.STOPPED


async def test_a_stream_that_is_left_early_counts_what_it_gave(field, running):
    async with running(field(raises=RAISES, hangs=HANGS)) as runner:
        outcomes = runner.stream("predict", 1)
        async for outcome in outcomes:
            assert outcome.model_id == "raises"
            break
        await outcomes.aclose()
        assert runner.models["raises"].health.strikes["predict"].failures == 1
        assert runner.models["hangs"].health.strikes == {}


# Calls that are given up.


async def test_a_call_that_is_cancelled_leaves_the_runner_usable(submit, running, files):
    gated = f"""
    def predict(self, number):
        while number == 1 and not os.path.exists({str(files / "gate")!r}):
            time.sleep(0.005)
        return number
    """
    async with running([submit("quick"), submit("gated", gated)]) as runner:
        with anyio.move_on_after(0.1) as scope:
            await runner.predict(1)
        assert scope.cancelled_caught
        assert runner.models["gated"].health.strikes == {}
        (files / "gate").touch()
        asked = await runner.predict(2)
        assert {model_id: outcome.value for model_id, outcome in asked.items()} == {"quick": 2, "gated": 2}
        assert {model.state for model in runner.models.values()} == {State.READY}


async def test_models_that_answered_a_cancelled_call_are_ready_again(submit, running, files, seen):
    told = files / "answered"
    quick = f"""
    def predict(self, number):
        return number
    def measure(self, number=0):
        open({str(told)!r}, "w").close()
        return 1.0
    """
    async with running(
        [
            submit("quick", quick),
            submit("hangs", "def measure(self, number=0): time.sleep(600)\ndef predict(self, number): pass\n"),
        ]
    ) as runner:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.call, "measure")
            await seen(told.exists)
            # What follows it on the same socket has been read after it.
            assert (await runner.call("predict", 1, models=["quick"]))["quick"].value == 1
            tasks.cancel_scope.cancel()
        await seen(lambda: runner.models["quick"].state is State.READY)


async def test_a_model_that_died_in_a_cancelled_call_is_restarted_all_the_same(submit, running, log, gone):
    methods = """
    def predict(self, number):
        if number == 0:
            os._exit(3)
        return os.getpid()
    """
    async with running([submit("dies", methods), submit("hangs", HANGS)]) as runner:
        pid = (await runner.call("predict", 1, models=["dies"]))["dies"].value
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runner.predict, 0)
            await gone(pid)
            await runner.call("predict", 1, models=["hangs"], timeout=0.05)  # the engine has heard of the end
            tasks.cancel_scope.cancel()
        await log.until(ModelReady, "dies", 2)
        asked = await runner.call("predict", 1, models=["dies"])
        assert asked["dies"].status is Status.OK
        assert asked["dies"].value != pid


async def test_a_runner_is_entered_once_and_says_so(field, running):
    runner = running(field(a=""), host="inline")
    with pytest.raises(UsageError, match="the ModelRunner is not running; use it inside: async with"):
        await runner.predict(1)
    async with runner:
        pass
    with pytest.raises(UsageError, match="a ModelRunner is entered once; make another one"):
        await runner.__aenter__()


async def test_without_what_processes_need_the_machine_is_to_blame(field, running, monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")  # as on macOS
    with pytest.raises(ResourceError, match=r'the process host needs Linux .* use host="inline"'):
        await running(field(a="")).__aenter__()


@HOSTS
async def test_a_runner_that_was_left_cannot_be_asked(field, running, host):
    async with running(field(a=""), host=host) as runner:
        pass
    with pytest.raises(UsageError, match="the ModelRunner is not running; use it inside: async with"):
        await runner.predict(1)
    assert runner.models["a"].state is State.READY  # what became of the models can still be read


async def test_the_budget_is_the_calls_own_the_methods_or_the_common_one(field, running):
    policy = Policy(timeout=7.0, timeouts={"measure": 3.0})
    async with running(field(a=""), host="inline", policy=policy) as runner:
        assert (await runner.predict(1))["a"].budget == 7.0
        assert (await runner.call("measure"))["a"].budget == 3.0
        assert (await runner.call("measure", timeout=2.0))["a"].budget == 2.0


async def test_on_event_that_raises_spoils_nothing(field, running, caplog):
    def on_event(record):
        raise RuntimeError("the author's bug")

    async with running(field(a=""), on_event=on_event, host="inline") as runner:
        assert (await runner.predict(1))["a"].value == 1
    assert "on_event raised" in caplog.text


async def test_the_same_fault_in_most_of_the_field_is_the_games(field, running, log):
    models = field(**{f"raises{i}": RAISES for i in range(4)}, good="")
    async with running(models, policy=Policy(timeout=10, max_consecutive_failures=1)) as runner:
        for number in (1, 2):
            asked = await runner.predict(number)
            assert sum(outcome.status is Status.RAISED for outcome in asked.values()) == 4
        assert {model.state for model in runner.models.values()} == {State.READY}
        assert all(not model.health.strikes for model in runner.models.values())
        told = log.of(FieldFault)
        assert [(record.method, record.failed, record.asked) for record in told] == [("predict", 4, 5)] * 2
        assert told[0].fault.message == "ValueError: number 1 is not for me"
        await runner.call("predict", 3, models=["raises0", "good"])  # two are no field
        assert [record.model_id for record in log.of(ModelStopped)] == ["raises0"]


def test_a_runner_names_what_it_cannot_take():
    from crunch_game import GameError, InlineHost, StaticRoster

    with pytest.raises(GameError, match='host is \'moon\'; it must be "process", "inline" or a Host'):
        ModelRunner("arena.Base", [], host="moon")
    with pytest.raises(GameError, match=r"^host is the class InlineHost; give an instance: host=InlineHost\(\.\.\.\)$"):
        ModelRunner("arena.Base", [], host=InlineHost)
    with pytest.raises(GameError, match=r"^models is the class Policy; give a list: \[Policy\]$"):
        ModelRunner("arena.Base", Policy)
    with pytest.raises(
        GameError, match=r"^models is the class StaticRoster; give an instance: StaticRoster\(\.\.\.\)$"
    ):
        ModelRunner("arena.Base", StaticRoster)
    with pytest.raises(GameError, match="models is 3; give a folder, a Roster, or a list of classes and paths"):
        ModelRunner("arena.Base", 3)
    with pytest.raises(GameError, match="there is no folder 'nowhere/at/all' to take models from"):
        ModelRunner("arena.Base", "nowhere/at/all")


async def test_what_has_arrived_when_the_deadline_is_noticed_is_in_time(submit, running):
    slow = submit("slow", "def predict(self, number):\n    time.sleep(0.2)\n    return number\n")
    async with running([slow]) as runner, anyio.create_task_group() as tasks:

        async def ask():
            assert (await runner.call("predict", 1, timeout=0.6))["slow"].value == 1

        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        runner._host._engine.do(lambda: time.sleep(1.2))  # the coordinator's own lateness
