"""Joining and leaving: nobody waits for anybody, and what joins is told the past before it plays."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections import defaultdict, namedtuple
from dataclasses import make_dataclass
from decimal import Decimal
from enum import Enum

import anyio
import numpy as np
import pytest

from crunch_game import Contract, ContractError, ModelRunner, Policy, Status, Submission, TrackerBase, UsageError
from crunch_game.events import (
    ModelJoined,
    ModelLeft,
    ModelLoadFailed,
    ModelReady,
    ModelRedeployed,
    ModelRestarted,
    ModelStopped,
)
from crunch_game.hosts.base import Instance, Loaded, LoadFailure
from crunch_game.outcomes import Fault
from crunch_game.policy import State

pytestmark = pytest.mark.anyio

HOSTS = pytest.mark.parametrize("host", ["process", "inline"])
REMEMBERS = """
def __init__(self):
    self.seen = []
def tick(self, data=None):
    self.seen.append(data)
def predict(self, number):
    if number < 0:
        os._exit(3)
    return self.seen
"""


async def test_a_hanging_import_delays_nobody_and_fails_after_the_setup_timeout(submit, running, log, field):
    models = [submit("hangs", above="time.sleep(600)"), *field(a="", b="")]
    policy = Policy(timeout=10, setup_timeout=2.0)
    began = time.monotonic()
    async with running(models, policy=policy, ready_timeout=0.5) as runner:
        assert time.monotonic() - began < 2.0
        assert {outcome.status for outcome in (await runner.predict(1)).values()} == {Status.OK, Status.SKIPPED}
        told = await log.until(ModelLoadFailed)
        assert (told.fault.kind, told.fault.message) == ("timeout", "loading it took longer than 2 s (setup_timeout)")
        assert 'hangs.py", line 2, in <module>' in told.fault.traceback
        assert runner.models["hangs"].state is State.FAILED


@HOSTS
async def test_a_broken_import_is_told_with_its_traceback(submit, running, log, host):
    broken = submit("broken", above="1 / 0")
    async with running([broken], host=host):
        fault = log.of(ModelLoadFailed)[0].fault
        assert fault.kind == "ZeroDivisionError"
        assert fault.message == "broken.py: importing it raised ZeroDivisionError: division by zero"
        assert "1 / 0" in fault.traceback


async def test_the_models_show_who_they_are(running, field):
    async with running(field(a="", b=""), host="inline") as runner:
        assert repr(runner.models) == repr(dict(runner.models))
        assert repr(runner.models).startswith("{'a': <Model a (")


async def test_a_model_that_dies_while_it_loads_is_told_so(submit, running, log):
    async with running([submit("dies", above="os._exit(5)"), submit("killed", above="os.kill(os.getpid(), 9)")]):
        faults = {record.model_id: record.fault for record in log.of(ModelLoadFailed)}
        assert faults["dies"].message.startswith("its process ended while it was loading: exit code 5;")
        assert faults["killed"].message.startswith("its process ended while it was loading: signal 9 (SIGKILL);")


@HOSTS
async def test_history_is_replayed_to_every_fresh_instance_before_it_plays(submit, running, log, host):
    runner = running([submit("a", REMEMBERS), submit("b", REMEMBERS)], host=host)
    history = ["monday", "tuesday"]

    @runner.on_join
    async def replay(model, runner):
        for day in history:
            asked = await runner.call("tick", day, models=[model.id])
            assert asked[model.id].status is Status.OK

    async with runner:
        assert [outcome.value for outcome in (await runner.predict(1)).values()] == [history] * 2
        await runner.tick("wednesday")
        history.append("wednesday")
        if host == "process":
            assert (await runner.call("predict", -1, models=["a"]))["a"].status is Status.DIED
        else:
            await runner.readmit("a")
        await log.until(ModelReady, "a", 2)
        assert [outcome.value for outcome in (await runner.predict(1)).values()] == [history] * 2


async def test_an_instance_in_its_on_join_is_asked_by_nobody_else(submit, running, log):
    runner = running([submit("a", REMEMBERS)], ready_timeout=0.1)
    gate, inside = anyio.Event(), anyio.Event()

    @runner.on_join
    async def wait(model, runner):
        inside.set()
        await gate.wait()
        await runner.tick("history")

    async with runner:
        await inside.wait()
        assert (await runner.tick("today"))["a"].error.message.startswith("it has been loading for ")
        gate.set()
        await log.until(ModelReady)
        assert (await runner.predict(1))["a"].value == ["history"]


async def test_what_on_join_leaves_running_goes_on_with_the_model_that_plays(submit, running, log, files, seen):
    slow = f"""
    def tick(self, data=None):
        while not os.path.exists({str(files / "gate")!r}):
            time.sleep(0.005)
        os._exit(3)
    def predict(self, number):
        return number
    """
    outcomes = []
    async with anyio.create_task_group() as tasks:
        runner = running([submit("slow", slow)])

        async def background(model, runner):
            outcomes.append((await runner.tick())[model.id])
            await log.until(ModelReady, "slow", 2)
            outcomes.append((await runner.predict(2))[model.id])

        @runner.on_join
        async def leave_something_running(model, runner):
            if not outcomes:
                tasks.start_soon(background, model, runner)
                await anyio.wait_all_tasks_blocked()

        async with runner:
            (files / "gate").touch()
            await log.until(ModelRestarted)
            await log.until(ModelReady, "slow", 2)
            assert (await runner.predict(1))["slow"].value == 1
            await seen(lambda: len(outcomes) == 2)
    assert [outcome.status for outcome in outcomes] == [Status.SKIPPED, Status.OK]


async def test_the_runner_outside_reaches_who_plays_even_from_within_the_hook(submit, running, log, snapshots):
    roster = snapshots(Submission("a", submit("old", REMEMBERS), "v1"))
    outer = running(roster, host="inline")
    asked = []

    @outer.on_join
    async def compare(model, runner):
        asked.append((await outer.tick("to whom?"))["a"])
        asked.append((await runner.tick("to whom?"))["a"])

    async with outer:
        roster.tell(Submission("a", submit("new", REMEMBERS), "v2"))
        await log.until(ModelRedeployed)
        assert [(outcome.deployment_id, outcome.status) for outcome in asked] == [
            ("v1", Status.SKIPPED),  # it is being loaded for the first time
            ("v1", Status.OK),
            ("v1", Status.OK),  # the old instance
            ("v2", Status.OK),
        ]
        assert (await outer.predict(1))["a"].value == ["to whom?"]


async def test_the_runner_of_on_join_is_a_runner_in_every_other_way(submit, running, log):
    runner = running([submit("a", REMEMBERS), submit("b", REMEMBERS)], host="inline")
    found = {}

    @runner.on_join
    async def use(model, bound):
        if model.id == "b" and not found:
            assert isinstance(bound, type(runner))
            await log.until(ModelReady, "a")
            found["streamed"] = [outcome async for outcome in bound.stream("predict", 1)]
            found["predicted"] = await bound.predict(1, models=lambda model: model.id == "b")
            found["same"] = (bound.policy is runner.policy, bound.contract is runner.contract)
            found["models"] = dict(bound.models) == dict(runner.models)
            await bound.stop("a", "enough")
            await bound.readmit("a")
            bound.on_join(found.setdefault("second", second))
            with pytest.raises(UsageError, match="a ModelRunner is entered once"):
                await bound.__aenter__()

    async def second(model, bound):
        found[model.id] = True

    async with runner:
        await log.until(ModelReady, "a", 2)
        await log.until(ModelReady, "b")
        assert sorted(outcome.model_id for outcome in found["streamed"]) == ["a", "b"]
        assert {outcome.status for outcome in found["streamed"]} == {Status.OK}
        assert list(found["predicted"].succeeded) == ["b"]
        assert (found["same"], found["models"]) == ((True, True), True)
        assert found["a"]
        assert found["b"]


async def test_a_task_that_on_join_leaves_running_is_told_when_its_instance_was_given_up(submit, running, log):
    runner = running([submit("a")], host="inline")
    kept = []

    @runner.on_join
    async def keep(model, bound):
        kept.append(bound)
        raise RuntimeError("no")

    async with runner:
        await log.until(ModelLoadFailed)
        outcome = (await kept[0].predict(1))["a"]
        assert outcome.status is Status.SKIPPED
        assert outcome.error.message == "it could not be loaded: the game's on_join raised RuntimeError: no"


async def test_an_on_join_that_raises_is_a_failed_load(submit, running, log, processes, gone):
    runner = running([submit("a"), submit("b")])

    @runner.on_join
    async def refuse(model, runner):
        if model.id == "b":
            raise RuntimeError("I know this one")

    async with runner:
        assert log.of(ModelLoadFailed)[0].fault.message == "the game's on_join raised RuntimeError: I know this one"
        asked = await runner.predict(1)
        assert asked["a"].value == 1
        assert asked["b"].error.message == (
            "it could not be loaded: the game's on_join raised RuntimeError: I know this one"
        )


async def test_a_model_that_dies_in_its_on_join_has_not_loaded(submit, running, log):
    runner = running([submit("a", REMEMBERS), submit("b")])

    @runner.on_join
    async def kill(model, runner):
        await runner.call("predict", -1, models=[model.id])

    async with runner:
        told = await log.until(ModelLoadFailed, "a")
        assert told.fault.message.startswith("its process ended during predict: exit code 3;")
        assert runner.models["b"].state is State.READY


async def test_the_on_join_of_one_slow_model_delays_nobody(submit, running, log):
    slow = submit("slow", "def predict(self, number): return number\ndef tick(self, data=None): time.sleep(600)\n")
    runner = running([slow, submit("quick")], ready_timeout=0.5)

    @runner.on_join
    async def replay(model, runner):
        await runner.call("tick", 1, models=[model.id], timeout=60)

    async with runner:
        await log.until(ModelReady, "quick")
        asked = await runner.predict(1)
        assert (asked["quick"].value, asked["slow"].status) == (1, Status.SKIPPED)


# Redeployment.


@HOSTS
async def test_the_old_code_plays_until_the_new_is_ready(submit, running, log, snapshots, host):
    old = submit("old", "def predict(self, number):\n    raise ValueError('old')\n")
    new = submit("new", "def predict(self, number):\n    return 'new'\n")
    roster = snapshots(Submission("a", old, "v1"))
    runner = running(roster, host=host)
    gate = anyio.Event()

    @runner.on_join
    async def wait(model, runner):
        if model.state is not State.JOINING:
            await gate.wait()

    async with runner:
        await runner.predict(1)
        roster.tell(Submission("a", new, "v2"))
        await anyio.wait_all_tasks_blocked()
        asked = (await runner.predict(1))["a"]
        assert (asked.deployment_id, asked.error.message) == ("v1", "ValueError: old")
        gate.set()
        assert await log.until(ModelRedeployed) == ModelRedeployed("a", "v2", "v1")
        asked = (await runner.predict(1))["a"]
        assert (asked.deployment_id, asked.value) == ("v2", "new")
        assert runner.models["a"].health.strikes == {}
        assert runner.models["a"].deployment_id == "v2"


@HOSTS
async def test_broken_new_code_leaves_the_old_playing_and_is_told(submit, running, log, snapshots, host):
    roster = snapshots(Submission("a", submit("old"), "v1"))
    async with running(roster, host=host) as runner:
        roster.tell(Submission("a", submit("new", above="1 / 0"), "v2"))
        told = await log.until(ModelLoadFailed)
        assert (told.deployment_id, told.fault.kind) == ("v2", "ZeroDivisionError")
        assert (await runner.predict(1))["a"].value == 1
        assert runner.models["a"].deployment_id == "v1"
        assert not log.of(ModelRedeployed)


async def test_a_new_deployment_lets_a_stopped_model_play_again(submit, running, log, snapshots):
    old = submit("old", "def predict(self, number):\n    raise ValueError('old')\n")
    roster = snapshots(Submission("a", old, "v1"))
    async with running(roster, policy=Policy(timeout=10, max_consecutive_failures=1)) as runner:
        await runner.predict(1)
        assert runner.models["a"].state is State.STOPPED
        roster.tell(Submission("a", submit("new"), "v2"))
        await log.until(ModelReady, count=2)
        assert (await runner.predict(1))["a"].value == 1


async def test_stopping_the_old_code_for_its_faults_keeps_the_new_that_is_on_its_way(
    submit, running, log, snapshots, files
):
    old = submit("old", "def predict(self, number):\n    raise ValueError('old')\n")
    new = submit("new", above=f"while not os.path.exists({str(files / 'gate')!r}): time.sleep(0.005)")
    roster = snapshots(Submission("a", old, "v1"))
    async with running(roster, policy=Policy(timeout=10, max_consecutive_failures=1)) as runner:
        roster.tell(Submission("a", new, "v2"))
        await anyio.wait_all_tasks_blocked()
        await runner.predict(1)
        assert runner.models["a"].state is State.STOPPED
        (files / "gate").touch()
        await log.until(ModelRedeployed)
        assert (await runner.predict(1))["a"].value == 1
        assert runner.models["a"].health.reason is None


async def test_a_failure_of_the_old_code_is_no_strike_of_the_new(submit, running, log, snapshots, files):
    old = submit("old", "def predict(self, number):\n    raise ValueError('old')\n")
    other = submit(
        "b",
        f"""
        def predict(self, number):
            while number == 1 and not os.path.exists({str(files / "gate")!r}):
                time.sleep(0.005)
        """,
    )
    roster = snapshots(Submission("a", old, "v1"), Submission("b", other))
    async with running(roster, policy=Policy(timeout=10, max_consecutive_failures=1)) as runner:
        async for outcome in runner.stream("predict", 1):
            if outcome.model_id == "a":
                assert outcome.status is Status.RAISED
                roster.tell(Submission("a", submit("new"), "v2"), Submission("b", other))
                await log.until(ModelRedeployed)
                (files / "gate").touch()
        assert runner.models["a"].health.strikes == {}
        assert (await runner.predict(2))["a"].value == 2


async def test_a_readmitted_model_is_clean_whatever_a_call_from_before_said(submit, running, log, files):
    moody = submit("a", "def predict(self, number):\n    raise ValueError('no')\n")
    other = submit(
        "b", f"def predict(self, number):\n    while not os.path.exists({str(files / 'g')!r}): time.sleep(0.005)\n"
    )
    async with running([moody, other], policy=Policy(timeout=10, max_consecutive_failures=1)) as runner:
        async for outcome in runner.stream("predict", 1):
            if outcome.model_id == "a":
                await runner.readmit("a")
                await log.until(ModelReady, "a", 2)
                (files / "g").touch()
        assert runner.models["a"].state is State.READY
        assert runner.models["a"].health.strikes == {}


async def test_what_a_model_writes_to_stderr_after_a_redeployment_is_still_shown(submit, running, log, snapshots):
    loud = "def predict(self, number):\n    print('I am', number, file=sys.stderr)\n    raise ValueError\n"
    roster = snapshots(Submission("a", submit("old", loud), "v1"))
    async with running(roster) as runner:
        assert (await runner.predict(1))["a"].error.stderr == "I am 1"
        roster.tell(Submission("a", submit("new", loud), "v2"))
        await log.until(ModelRedeployed)
        await anyio.wait_all_tasks_blocked()
        assert (await runner.predict(2))["a"].error.stderr == "I am 2"


# In the middle of a round.


GATED = "def predict(self, number):\n    while not os.path.exists({!r}): time.sleep(0.005)\n    return number\n"


async def test_a_model_that_is_redeployed_in_the_middle_of_a_round_still_answers_it(
    submit, running, log, snapshots, files
):
    gate = files / "gate"
    roster = snapshots(Submission("a", submit("old", GATED.format(str(gate))), "v1"))
    async with running(roster) as runner, anyio.create_task_group() as tasks:

        async def ask():
            asked = (await runner.predict(1))["a"]
            assert (asked.value, asked.deployment_id) == (1, "v1")

        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        roster.tell(Submission("a", submit("new"), "v2"))
        await log.until(ModelRedeployed)
        gate.touch()


@pytest.mark.parametrize("what", ["stop", "leave", "redeploy", "readmit"])
async def test_a_model_taken_away_in_the_middle_of_a_round_is_skipped_in_it(
    submit, running, log, snapshots, files, what
):
    gate = files / "gate"
    a, b = submit("a", GATED.format(str(files / "never"))), submit("b", GATED.format(str(gate)))
    others = Submission("b", b)
    roster = snapshots(Submission("a", a, "v1"), others)
    policy = Policy(timeout=3 if what == "redeploy" else 10)  # until which the old code may answer
    async with running(roster, policy=policy) as runner, anyio.create_task_group() as tasks:

        async def ask():
            asked = await runner.predict(1)
            assert list(asked) == ["a", "b"]
            assert asked["b"].value == 1
            assert asked["a"].status is Status.SKIPPED
            assert asked["a"].deployment_id == "v1"
            assert (
                asked["a"].error.message
                == {
                    "stop": "it was stopped: enough",
                    "leave": "it left the game",
                    "redeploy": "it was replaced by a fresh instance",
                    "readmit": "it was replaced by a fresh instance",
                }[what]
            )

        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        if what == "stop":
            await runner.stop("a", "enough")
        elif what == "leave":
            roster.tell(others)
            await log.until(ModelLeft)
            assert list(await runner.call("predict", 2, models=["a"])) == []
        elif what == "redeploy":
            roster.tell(Submission("a", submit("new"), "v2"), others)
            await log.until(ModelRedeployed)
        else:
            await runner.readmit("a")
            await log.until(ModelReady, "a", 2)
        gate.touch()


async def test_a_model_that_leaves_is_absent_and_may_come_back(submit, running, log, snapshots):
    a, b = Submission("a", submit("a")), Submission("b", submit("b"))
    roster = snapshots(a, b)
    async with running(roster) as runner:
        roster.tell(b)
        await log.until(ModelLeft)
        assert list(await runner.predict(1)) == ["b"]
        assert list(await runner.call("predict", 1, models=["a", "b"])) == ["b"]
        assert list(runner.models) == ["b"]
        await runner.stop("a", "it is gone anyway")
        await runner.readmit("a")
        roster.tell(a, b)
        await log.until(ModelReady, "a", 2)
        assert sorted(await runner.predict(1)) == ["a", "b"]


@pytest.mark.parametrize("what", ["stop", "leave", "readmit"])
async def test_a_model_can_be_taken_away_while_it_loads(submit, running, log, snapshots, what, processes, seen):
    hangs = Submission("hangs", submit("hangs", above=f"if {what != 'readmit'}: time.sleep(600)\ntime.sleep(0.2)"))
    quick = Submission("quick", submit("quick"))
    roster = snapshots(hangs, quick)
    async with running(roster, ready_timeout=0.1) as runner:
        await log.until(ModelReady, "quick")
        if what == "stop":
            await runner.stop("hangs", "too slow")
            assert (await runner.predict(1))["hangs"].error.message == "it was stopped: too slow"
        elif what == "leave":
            roster.tell(quick)
            await log.until(ModelLeft)
            assert list(await runner.predict(1)) == ["quick"]
        else:
            await runner.readmit("hangs")
            await log.until(ModelReady, "hangs")
            assert len(log.of(ModelReady, "hangs")) == 1
        await seen(lambda: len(processes()) == (3 if what == "readmit" else 2))


class Held:
    """A host whose models load, or do not, when the test says so."""

    def __init__(self) -> None:
        self.gates = []
        self.stopped = []
        self.fails = False

    async def open(self, setup, submissions, watcher):
        pass

    async def start(self, submission, timeout):
        gate = anyio.Event()
        self.gates.append(gate)
        await gate.wait()
        if self.fails:
            raise LoadFailure(Fault("late", "too late"))
        return Loaded(Instance(submission))

    async def ask(self, call, asked, *, each):
        raise AssertionError("nobody plays")
        yield

    async def stop(self, instance):
        self.stopped.append(instance)

    async def close(self):
        pass


@pytest.mark.parametrize("what", ["stop", "leave"])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_model_taken_away_in_the_very_moment_that_it_is_loaded_does_not_play(
    submit, running, log, snapshots, what, fails
):
    host, roster = Held(), snapshots(Submission("a", submit("a")))
    host.fails = fails
    async with running(roster, host=host, ready_timeout=0.01) as runner:
        model = runner.models["a"]
        await anyio.wait_all_tasks_blocked()  # it is being loaded
        host.gates[0].set()
        if what == "stop":
            await runner.stop("a", "enough")
        else:
            runner._lineup._adopt({})
        await anyio.wait_all_tasks_blocked()
        assert model.state is (State.STOPPED if what == "stop" else State.LEFT)
        assert len(host.stopped) == (not fails)
        assert not log.of(ModelReady)
        assert not log.of(ModelLoadFailed)


async def test_new_code_that_comes_while_the_old_still_loads_is_what_plays(submit, running, log, snapshots):
    host = Held()
    roster = snapshots(Submission("a", submit("a"), "v1"))
    async with running(roster, host=host, ready_timeout=0.01) as runner:
        roster.tell(Submission("a", submit("a"), "v2"))
        await anyio.wait_all_tasks_blocked()
        for gate in host.gates:
            gate.set()
        await log.until(ModelReady)
        await anyio.wait_all_tasks_blocked()
        assert [record.deployment_id for record in log.of(ModelReady)] == ["v2"]
        assert runner.models["a"].deployment_id == "v2"


async def excused(runner) -> bool:
    return (await runner.predict(1))["a"].excused


async def test_who_is_loaded_for_the_first_time_is_excused(submit, running, snapshots):
    async with running(snapshots(Submission("a", submit("a"))), host=Held(), ready_timeout=0.01) as runner:
        assert await excused(runner)


async def test_who_left_and_comes_back_is_not_excused_while_it_loads(submit, running, log, snapshots):
    """Else leaving for a moment, before each hard round, would be a way to sit it out."""
    a = Submission("a", submit("a"))
    host, roster = Held(), snapshots(a)
    async with running(roster, host=host, ready_timeout=0.01) as runner:
        host.gates[0].set()
        await log.until(ModelReady)
        roster.tell()
        await log.until(ModelLeft)
        roster.tell(a)
        await anyio.wait_all_tasks_blocked()
        assert runner.models["a"].state is State.JOINING
        assert not await excused(runner)


async def test_new_code_while_the_old_still_loads_is_no_excuse(submit, running, snapshots):
    """Else new code every minute, after a start of the game, would be a way to play no round at all."""
    path = submit("a")
    roster = snapshots(Submission("a", path, "v1"))
    async with running(roster, host=Held(), ready_timeout=0.01) as runner:
        roster.tell(Submission("a", path, "v2"))
        await anyio.wait_all_tasks_blocked()
        assert runner.models["a"].state is State.JOINING
        assert not await excused(runner)


# A folder.


async def test_a_folder_is_followed_from_end_to_end(submit, running, log, tmp_path):
    submit("a")
    submit("_hidden")
    async with running(tmp_path) as runner:
        assert list(await runner.predict(1)) == ["a"]
        submit("b")
        await log.until(ModelReady, "b")
        assert sorted(await runner.predict(1)) == ["a", "b"]
        submit("a", "def predict(self, number):\n    return 'new'\n")
        await log.until(ModelRedeployed, "a")
        assert (await runner.predict(1))["a"].value == "new"
        submit("a", above="1 / 0")
        await log.until(ModelLoadFailed, "a")
        assert (await runner.predict(1))["a"].value == "new"
        (tmp_path / "b.py").unlink()
        await log.until(ModelLeft, "b")
        assert list(await runner.predict(1)) == ["a"]
        assert [record.model_id for record in log.of(ModelJoined)] == ["a", "b"]


@HOSTS
async def test_two_submissions_may_each_have_a_utils_py(running, tmp_path, host):
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "utils.py").write_text(f"NAME = {name!r}\n")
        (folder / "main.py").write_text(
            "import arena\nimport utils\n\n\nclass Tracker(arena.Base):\n    def predict(self, number):\n"
            "        import utils as again\n        return [utils.NAME, again.NAME]\n"
        )
    async with running(tmp_path, host=host) as runner:
        asked = await runner.predict(1)
        assert {model_id: outcome.value for model_id, outcome in asked.items()} == {
            "one": ["one", "one"],
            "two": ["two", "two"],
        }


@HOSTS
async def test_every_model_is_made_with_the_authors_arguments_and_has_its_own(submit, running, host):
    methods = """
    def __init__(self, prices, *, name):
        prices.append(len(prices))
        self.made = [prices, name]
    def predict(self, number):
        return self.made
    """
    prices = [1.5]
    models = [submit(name, methods) for name in "ab"]
    async with running(models, host=host, init_args=(prices,), init_kwargs={"name": "x"}) as runner:
        assert [outcome.value for outcome in (await runner.predict(1)).values()] == [[[1.5, 1], "x"]] * 2
        assert prices == [1.5]


async def test_arguments_that_no_model_can_be_made_with_are_the_authors_error(submit, running):
    with pytest.raises(ContractError, match="the models' init arguments cannot be sent: a object cannot be sent"):
        async with running([submit("a")], init_args=(object(),)):
            raise AssertionError


RICH = {
    "date": (dt.date(2026, 1, 1), "str"),
    "datetime": (dt.datetime(2026, 1, 1), "str"),  # noqa: DTZ001 - that is the point
    "timedelta": (dt.timedelta(1), "str"),
    "set": ({1}, "list"),
    "Decimal": (Decimal("1.1"), "str"),
    "Window": (namedtuple("Window", "first last")(1, 2), "list"),
    "Config": (make_dataclass("Config", ["scale"])(1.0), "dict"),
    "Side": (Enum("Side", {"BUY": "buy"}).BUY, "str"),
}


@pytest.mark.parametrize("kind", RICH)
def test_init_arguments_that_would_arrive_as_something_else_are_refused(kind):
    """No annotation says what they are; a model that got a dict for a dataclass would find out in its constructor."""
    value, arrived = RICH[kind]
    told = f"the models' init arguments hold a {kind}, which models would get as a {arrived}; give plain values"
    for given in (value, {"a": [value]}, {value: 1} if kind not in ("set", "Config") else (value,)):
        with pytest.raises(ContractError, match=f"^{told}"):
            ModelRunner(TrackerBase, [], init_args=[given])
        with pytest.raises(ContractError, match=f"^{told}"):
            ModelRunner(TrackerBase, [], init_kwargs={"given": given})


def test_plain_init_arguments_are_taken():
    with pytest.raises(ContractError, match="hold a tuple, which models would get as a list"):
        ModelRunner(TrackerBase, [], init_args=[{(1, 2): 3}])
    plain = [None, True, 2**63, 1.5, "x", b"x", (1, [2]), {1: {"a": (3,)}}, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]
    arrays = [np.arange(3), np.float32(1), np.int64(2), np.bool_(True), defaultdict(int, a=1)]
    ModelRunner(TrackerBase, [], init_args=[*plain, *arrays])


@HOSTS
async def test_a_base_class_inside_a_function_plays_inline_and_elsewhere_gives_a_sentence(running, host):
    class Local:
        def predict(self, number: int) -> int:
            raise NotImplementedError

    class Tracker(Local):
        def predict(self, number):
            return number

    runner = running([Tracker], base=Contract(Local), host=host)
    if host == "inline":
        async with runner:
            assert (await runner.predict(1))["Tracker"].value == 1
        return
    with pytest.raises(ContractError) as caught:
        async with runner:
            raise AssertionError
    assert str(caught.value).endswith(
        "<locals>.Local is defined inside a function, so no other process can import it; "
        'move it to the top level of a module, or use host="inline"'
    )


async def test_a_submission_inside_a_function_fails_with_the_same_sentence(running, log, submit):
    import arena

    class Tracker(arena.Base):
        def predict(self, number):
            return number

    async with running([Tracker, submit("a")]) as runner:
        assert "is defined inside a function, so no other process can import it" in (
            log.of(ModelLoadFailed)[0].fault.message
        )
        assert (await runner.predict(1))["a"].value == 1
        assert not log.of(ModelStopped)


async def test_setups_that_hang_hold_up_nobody_however_many_they_are(submit, running, log):
    hanging = [submit(f"a{index:02}", above="time.sleep(600)\n") for index in range(2 * (os.cpu_count() or 1) + 2)]
    policy = Policy(timeout=10, setup_timeout=600)
    async with running([*hanging, submit("z")], policy=policy, ready_timeout=0.1) as runner:
        await log.until(ModelReady, "z")
        assert {runner.models[path.stem].state for path in hanging} == {State.JOINING}
