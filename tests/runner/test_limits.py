"""Limits: strikes per method, deaths and restarts, as real models in real processes bring them about."""

from __future__ import annotations

import os
import signal

import anyio
import pytest

from crunch_game import Policy, Status
from crunch_game.events import ModelReady, ModelRestarted, ModelStopped
from crunch_game.policy import State, Strikes

pytestmark = pytest.mark.anyio

HOSTS = pytest.mark.parametrize("host", ["process", "inline"])
MOODY = "def predict(self, number):\n    if number < 0:\n        raise ValueError('no')\n    return number\n"
DIES = """
def predict(self, number):
    if number < 0:
        print("last words", file=sys.stderr)
        os._exit(3)
    return os.getpid()
def measure(self, number=0):
    if number < 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    return float(os.getpid())
"""


@HOSTS
async def test_exactly_the_third_consecutive_failure_stops(submit, running, log, host, processes, gone):
    async with running([submit("moody", MOODY)], host=host) as runner:
        pids = processes()
        for number in range(1, 4):
            assert runner.models["moody"].state is State.READY
            await runner.tick()  # a tick that succeeds saves nobody
            assert (await runner.predict(-number))["moody"].status is Status.RAISED
        assert runner.models["moody"].state is State.STOPPED
        reason = "3 failures of predict in a row (the limit is 3); the last: ValueError: no"
        assert [(record.reason, record.fault.kind) for record in log.of(ModelStopped)] == [(reason, "ValueError")]
        skipped = (await runner.predict(1))["moody"]
        assert (skipped.status, skipped.error.message) == (Status.SKIPPED, f"it was stopped: {reason}")
        if host == "process":
            assert len(pids) == 2  # the fork server, and the model
            await gone(max(pids))


@HOSTS
async def test_a_success_in_between_saves_it(submit, running, host):
    async with running([submit("moody", MOODY)], host=host) as runner:
        for number in (-1, -1, 1, -1, -1, 1):
            await runner.predict(number)
        assert runner.models["moody"].state is State.READY
        assert runner.models["moody"].health.strikes == {}


async def test_exactly_the_third_consecutive_timeout_stops(submit, running):
    naps = "def predict(self, number):\n    time.sleep(number)\n"
    policy = Policy(timeout=0.2, max_consecutive_timeouts=3)
    async with running([submit("naps", naps)], policy=policy) as runner:
        states = []
        for _ in range(3):
            assert (await runner.predict(600))["naps"].status is Status.TIMEOUT
            states.append(runner.models["naps"].state)
        assert states == [State.BUSY, State.BUSY, State.STOPPED]
        assert runner.models["naps"].health.reason.startswith("3 timeouts of predict in a row (the limit is 3); ")


async def test_a_model_that_is_late_is_left_to_finish_by_default(submit, running, seen, log):
    naps = "def predict(self, number):\n    time.sleep(number / 10)\n    return os.getpid()\n"
    async with running([submit("naps", naps)], policy=Policy(timeout=10)) as runner:
        pid = (await runner.predict(0))["naps"].value
        assert (await runner.call("predict", 12, timeout=0.1))["naps"].status is Status.TIMEOUT
        assert runner.models["naps"].state is State.BUSY
        await seen(lambda: runner.models["naps"].state is State.READY)
        assert (await runner.predict(0))["naps"].value == pid
        assert not log.of(ModelRestarted)


async def test_a_model_that_is_late_is_restarted_if_the_policy_says_so(submit, running, log, gone):
    naps = "def predict(self, number):\n    time.sleep(number)\n    return os.getpid()\n"
    policy = Policy(timeout=10, on_timeout="restart", max_consecutive_timeouts=2)
    async with running([submit("naps", naps)], policy=policy) as runner:
        pid = (await runner.predict(0))["naps"].value
        assert (await runner.call("predict", 600, timeout=0.1))["naps"].status is Status.TIMEOUT
        told = await log.until(ModelRestarted)
        assert (told.fault.message, told.delay) == ("no answer within 0.1 s", 0.0)
        await log.until(ModelReady, count=2)
        await gone(pid)
        assert runner.models["naps"].health.strikes == {"predict": Strikes(timeouts=1)}
        assert (await runner.predict(0))["naps"].value != pid
        assert runner.models["naps"].health.strikes == {}


async def test_it_is_restarted_too_when_an_earlier_call_was_answered_meanwhile(submit, running, log, files):
    gated = f"""
    def tick(self, data=None):
        while not os.path.exists({str(files / "gate")!r}):
            time.sleep(0.005)
    def predict(self, number):
        open({str(files / "asked")!r}, "w").close()
        time.sleep(number)
    """
    policy = Policy(timeout=10, timeouts={"predict": 1.0}, on_timeout="restart")
    async with running([submit("gated", gated)], policy=policy) as runner, anyio.create_task_group() as tasks:
        tasks.start_soon(runner.tick)
        await anyio.wait_all_tasks_blocked()

        async def ask():
            assert (await runner.predict(600))["gated"].status is Status.TIMEOUT

        tasks.start_soon(ask)
        (files / "gate").touch()
        await log.until(ModelRestarted)


async def test_a_death_in_a_call_is_told_with_exit_code_and_last_words(submit, running, log):
    policy = Policy(timeout=10, max_consecutive_failures=0)
    async with running([submit("dies", DIES)], policy=policy) as runner:
        died = (await runner.predict(-1))["dies"]
        assert died.status is Status.DIED
        assert died.error.message.startswith("its process ended during predict: exit code 3;")
        assert (died.error.kind, died.error.exit, died.error.stderr) == ("died", 3, "last words")
        await log.until(ModelReady, count=2)
        killed = (await runner.call("measure", -1))["dies"]
        assert killed.error.message.startswith("its process ended during measure: signal 11 (SIGSEGV);")
        assert killed.error.exit == -11


async def test_each_death_in_a_row_is_waited_for_longer_and_strikes_survive(submit, running, log):
    policy = Policy(timeout=10, max_consecutive_failures=4)
    async with running([submit("dies", DIES)], policy=policy) as runner:
        for deaths in (1, 2, 3):
            assert (await runner.predict(-1))["dies"].status is Status.DIED
            await log.until(ModelReady, count=1 + deaths)
            assert runner.models["dies"].health.strikes == {"predict": Strikes(failures=deaths)}
            assert (await runner.call("measure"))["dies"].status is Status.OK  # which saves nobody
        assert [record.delay for record in log.of(ModelRestarted)] == [0.0, 0.2, 0.4]
        assert (await runner.predict(-1))["dies"].status is Status.DIED
        assert runner.models["dies"].state is State.STOPPED
        assert len(log.of(ModelRestarted)) == 3


async def test_a_death_between_two_calls_is_a_restart_and_no_strike(submit, running, log):
    async with running([submit("dies", DIES)], policy=Policy(timeout=10, max_consecutive_failures=1)) as runner:
        pid = (await runner.predict(0))["dies"].value
        os.kill(pid, signal.SIGKILL)
        told = await log.until(ModelRestarted)
        assert told.fault.message.startswith("its process ended between two calls: signal 9 (SIGKILL);")
        assert told.fault.exit == -9
        await log.until(ModelReady, count=2)
        asked = (await runner.predict(0))["dies"]
        assert asked.status is Status.OK
        assert asked.value != pid
        assert runner.models["dies"].health.strikes == {}


async def test_calls_that_waited_behind_a_death_never_reached_it_and_are_no_strike(submit, running, log, files):
    gated = f"""
    def tick(self, data=None):
        while not os.path.exists({str(files / "gate")!r}):
            time.sleep(0.005)
        os._exit(3)
    def predict(self, number):
        return number
    """
    async with running([submit("gated", gated)]) as runner:
        outcomes = {}

        async def ask(method, *args):
            outcomes[method] = (await runner.call(method, *args))["gated"]

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "tick")
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(ask, "predict", 1)
            tasks.start_soon(ask, "measure")
            await anyio.wait_all_tasks_blocked()
            (files / "gate").touch()
        assert outcomes["tick"].status is Status.DIED
        for method in ("predict", "measure"):
            assert outcomes[method].status is Status.SKIPPED
            assert outcomes[method].error is not None
        assert runner.models["gated"].health.strikes == {"tick": Strikes(failures=1)}
        await log.until(ModelReady, count=2)
        assert (await runner.predict(2))["gated"].value == 2


async def test_stopping_a_model_ends_its_process_and_readmitting_starts_it_afresh(submit, running, log, alive):
    async with running([submit("dies", DIES), submit("moody", MOODY)]) as runner:
        pid = (await runner.call("predict", 0, models=["dies"]))["dies"].value
        for number in (-1, -2):
            await runner.call("predict", number, models=["moody"])
        await runner.stop("dies", "it looked at me")
        assert not alive(pid)
        deployment_id = runner.models["dies"].deployment_id
        assert log.of(ModelStopped)[0] == ModelStopped("dies", deployment_id, "it looked at me", None)
        await runner.stop("dies", "again")  # changes nothing
        assert runner.models["dies"].health.reason == "it looked at me"
        for model_id in ("dies", "moody"):
            await runner.readmit(model_id)
            assert runner.models[model_id].state is State.JOINING
            await log.until(ModelReady, model_id, 2)
        asked = await runner.predict(0)
        assert asked["dies"].status is Status.OK
        assert asked["dies"].value != pid
        for number in (-1, -2):
            await runner.call("predict", number, models=["moody"])
        assert runner.models["moody"].state is State.READY  # two of three, once more
        await runner.predict(-3)
        assert runner.models["moody"].state is State.STOPPED


@HOSTS
async def test_inline_or_not_a_system_exit_is_an_exception_like_any_other(submit, running, host):
    async with running([submit("quits", "def predict(self, number):\n    sys.exit(3)\n")], host=host) as runner:
        asked = (await runner.predict(1))["quits"]
        assert (asked.status, asked.error.kind, asked.error.message) == (Status.RAISED, "SystemExit", "SystemExit: 3")


@HOSTS
async def test_inline_or_not_an_exception_of_a_kind_of_its_own_is_one_like_any_other(submit, running, host):
    above, panics = "class Panic(BaseException): pass", "    raise Panic('now')\n"
    call = submit("call", f"def predict(self, number):\n{panics}", above)
    load = submit("load", f"def __init__(self):\n{panics}def predict(self, number): pass\n", above)
    async with running([call, load], host=host) as runner:
        asked = await runner.predict(1)
        assert (asked["call"].status, asked["call"].error.message) == (Status.RAISED, "Panic: now")
        reason = "it could not be loaded: load.py: Tracker() raised Panic: now"
        assert (asked["load"].status, asked["load"].error.message) == (Status.SKIPPED, reason)


@HOSTS
async def test_a_model_that_says_it_lacks_a_method_that_it_was_loaded_with_fails(submit, running, host):
    above = "from crunch_game.hosts import NotOffered"
    claims = submit("claims", "def predict(self, number):\n    raise NotOffered('no')\n", above)
    loses = submit("loses", "def tick(self, data):\n    self.predict = None\ndef predict(self, number): pass\n")
    async with running([claims, loses], host=host) as runner:
        await runner.tick({})
        for _ in range(3):
            asked = await runner.predict(1)
        assert (asked["claims"].status, asked["claims"].error.message) == (Status.RAISED, "NotOffered: no")
        assert (asked["loses"].status, asked["loses"].error.kind) == (Status.INVALID, "invalid")
        sentence = (
            "it says that it has no method predict, which arena.Base requires and which it had when it was loaded"
        )
        assert asked["loses"].error.message == sentence
        assert {model.state for model in runner.models.values()} == {State.STOPPED}


async def test_inline_an_answer_over_its_budget_is_a_timeout_afterwards(submit, running, seen):
    naps = submit("naps", "def predict(self, number):\n    time.sleep(0.05)\n    return number\n")
    async with running([naps], host="inline", policy=Policy(timeout=0.01, max_consecutive_timeouts=2)) as runner:
        late = (await runner.predict(1))["naps"]
        assert (late.status, late.value, late.budget) == (Status.TIMEOUT, None, 0.01)
        assert late.error.message.startswith("answered after 0.0")
        assert late.error.message.endswith(" s; the budget is 0.01 s")
        await seen(lambda: runner.models["naps"].state is State.READY)  # it is busy no more
        await runner.predict(1)
        assert runner.models["naps"].state is State.STOPPED
