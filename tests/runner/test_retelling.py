"""`tell`: many calls of one fresh model, sent together; what comes of each is as if they had come one by one."""

from __future__ import annotations

import pytest

from crunch_game import ContractError, MethodCall, Policy, Status
from crunch_game.events import ModelLoadFailed, ModelReady, ModelStopped

pytestmark = pytest.mark.anyio

HOSTS = pytest.mark.parametrize("host", ["process", "inline"])
REMEMBERS = """
def __init__(self):
    self.told = []
def tick(self, data=None):
    self.told.append(data)
    {}
def predict(self, number):
    return self.told
"""


@pytest.fixture
def anyio_backend() -> str:
    """What is written here runs on the loop in few lines, and trio plays warm-ups in the tests of workers."""
    return "asyncio"


def telling(runner, count: int, *, one_by_one: bool = False, found: list | None = None):
    """Have the runner tell every fresh instance so many numbers."""
    calls = [MethodCall("tick", (number,)) for number in range(count)]

    @runner.on_join
    async def tell(model, runner):
        for part in [[call] for call in calls] if one_by_one else [calls]:
            got_to_the_end = await runner.tell(runner.retelling(part), model.id)
            if found is not None:
                found.append(got_to_the_end)
            if not got_to_the_end:
                return


@HOSTS
async def test_every_model_is_told_all_of_it_in_its_order_and_none_sees_what_another_did_to_it(submit, running, host):
    changes = REMEMBERS.format("data.append('mine')")
    runner = running([submit("a", changes), submit("b", REMEMBERS.format("pass"))], host=host)
    shared = [[number] for number in range(700)]
    calls = [MethodCall("tick", (each,)) for each in shared]
    prepared = []

    @runner.on_join
    async def tell(model, runner):
        if not prepared:
            prepared.append(runner.retelling(calls))
        assert await runner.tell(prepared[0], model.id)

    async with runner:
        answers = await runner.predict(1)
    assert answers["a"].value == [[number, "mine"] for number in range(700)]
    assert answers["b"].value == shared == [[number] for number in range(700)]


OUTCOMES = {
    "well": ("pass", True),
    "raises now and then": ("if len(self.told) % 3: raise ValueError(data)", True),
    "raises thrice": ("if len(self.told) in (5, 6, 7): raise ValueError(data)", False),
    "returns something": ("return data", True),
    "returns what cannot be sent": ("return {'an': object()} if len(self.told) > 8 else None", False),
    "is late now and then": ("time.sleep(0.3 if len(self.told) in (3, 4) else 0)", True),
}


@HOSTS
@pytest.mark.parametrize("what", OUTCOMES)
async def test_what_comes_of_it_is_what_comes_of_calls_one_by_one(submit, running, log, host, what):
    body, plays = OUTCOMES[what]
    policy = Policy(timeout=0.2 if "late" in what else 10)
    seen = {}
    for one_by_one in (False, True):
        log.records.clear()
        ends: list[bool] = []
        runner = running([submit("a", REMEMBERS.format(body))], host=host, policy=policy)
        telling(runner, 12, one_by_one=one_by_one, found=ends)
        async with runner:
            model = runner.models["a"]
            strikes = {key: (each.failures, each.timeouts) for key, each in model.health.strikes.items()}
            failed = [each.fault.message for each in log.of(ModelLoadFailed)]
            answer = (await runner.call("predict", 1, timeout=10))["a"]
        seen[one_by_one] = (str(model.state), strikes, failed, answer.status, answer.value, ends[-1])
    assert seen[False] == seen[True]
    state, _, failed, status, value, got_to_the_end = seen[False]
    assert got_to_the_end is plays
    if plays:
        assert (state, failed, status, value) == ("ready", [], Status.OK, list(range(12)))
    else:
        assert (state, status) == ("failed", Status.SKIPPED)
        assert len(failed) == 1


async def test_who_hangs_is_out_after_as_many_budgets_as_ever_and_goes_on_where_it_was_if_it_comes_back(
    submit, running, log
):
    hangs = submit("hangs", REMEMBERS.format("time.sleep(60 if data == 5 else 0)"))
    returns = submit("returns", REMEMBERS.format("time.sleep(0.5 if data == 5 else 0)"))
    runner = running([hangs, returns], policy=Policy(timeout=0.2))
    telling(runner, 20)
    async with runner:
        assert runner.models["hangs"].state == "failed"
        [fault] = [each.fault for each in log.of(ModelLoadFailed)]
        assert fault.kind in ("busy", "timeout")
        answers = await runner.call("predict", 1, timeout=10)
        assert answers["returns"].value == list(range(20)), "each once, though it was late"


async def test_who_dies_while_it_is_told_has_not_loaded_and_who_is_stopped_is_told_no_more(submit, running, log):
    dies = submit("dies", REMEMBERS.format("os._exit(3) if data == 5 else None"))
    slow = submit("slow", REMEMBERS.format("time.sleep(0.02)"))
    runner = running([dies, slow], ready_timeout=0.0)
    ends: list[bool] = []
    telling(runner, 1000, found=ends)
    async with runner:
        failed = await log.until(ModelLoadFailed, "dies")
        assert failed.fault.message.startswith("its process ended during tick: exit code 3;")
        assert ends == [False]
        await runner.stop("slow", "it is enough")
        assert log.of(ModelStopped)[-1].reason == "it is enough"
        assert not log.of(ModelReady)


async def test_what_a_contract_does_not_allow_and_what_cannot_be_sent_is_refused_before_anyone_is_told(running, field):
    runner = running(field(a=""))
    async with runner:
        with pytest.raises(ContractError, match="no method"):
            runner.retelling([MethodCall("tock", (1,))])
        with pytest.raises(ContractError, match="cannot be sent"):
            runner.retelling([MethodCall("tick", (1,)), MethodCall("tick", (object(),))])


async def test_where_capsules_are_kept_calls_come_one_by_one_so_that_one_holds_what_was_told(
    submit, running, tmp_path, log
):
    folder = tmp_path / "capsules"
    runner = running([submit("a", REMEMBERS.format("1 / (data - 3)"))], policy=Policy(timeout=10, capsules=folder))
    telling(runner, 6)
    async with runner:
        assert (await runner.predict(1))["a"].value == list(range(6))
    assert list(folder.iterdir())
