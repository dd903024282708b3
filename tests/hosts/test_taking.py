"""A host that is stated once serves one runner after the other, and several at once."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from crunch_game import InlineHost, ModelRunner, ProcessHost, UsageError
from crunch_game.hosts import give_back, host_of, take

pytestmark = [pytest.mark.anyio, pytest.mark.processes]


class Base:
    def predict(self) -> float: ...


class Counts(Base):
    def __init__(self):
        self.calls = 0

    def predict(self):
        self.calls += 1
        return float(self.calls)


class Bare:
    """An author's own host, which runs models inline, and has no `fresh`."""

    def __init__(self):
        self._inner = InlineHost()
        self.open, self.start, self.ask = self._inner.open, self._inner.start, self._inner.ask
        self.stop, self.close = self._inner.stop, self._inner.close


MODEL = f"{__name__}:Counts"


def runner(host: object) -> ModelRunner:
    return ModelRunner(f"{__name__}.Base", [MODEL], host=host, ready_timeout=30)


async def asked(of: ModelRunner) -> float:
    return (await of.predict())["Counts"].value


@pytest.mark.parametrize("host", [InlineHost, ProcessHost, Bare])
async def test_one_runner_after_the_other_uses_one_host(host):
    stated = host()
    for _ in range(3):
        async with runner(stated) as one:
            assert [await asked(one), await asked(one)] == [1.0, 2.0]


@pytest.mark.parametrize("host", [InlineHost, ProcessHost])
async def test_runners_at_once_do_not_notice_each_other(host):
    stated = host()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(runner(stated))
        assert await asked(first) == 1.0
        async with runner(stated) as second, runner(stated) as third:
            assert [await asked(second), await asked(third), await asked(second)] == [1.0, 1.0, 2.0]
        assert await asked(first) == 2.0


async def test_a_host_that_cannot_be_made_again_is_refused_to_the_second_runner_while_the_first_has_it():
    stated = Bare()
    async with runner(stated) as first:
        with pytest.raises(UsageError) as refused:
            async with runner(stated):
                pass
        assert str(refused.value) == (
            "host is an instance of Bare, which another ModelRunner is using; give each a host of its own, or give the "
            "host's class a method fresh() that returns another one like it"
        )
        assert await asked(first) == 1.0
    async with runner(stated) as second:
        assert await asked(second) == 1.0


async def test_a_host_whose_opening_failed_is_free_for_the_next_runner():
    stated = Bare()

    async def fails(*given: object) -> None:
        raise OSError("no room")

    opens, stated.open = stated.open, fails
    with pytest.raises(OSError, match="no room"):
        async with runner(stated):
            pass
    stated.open = opens
    async with runner(stated) as one:
        assert await asked(one) == 1.0


async def test_a_process_host_that_was_used_and_then_fails_to_open_closes_nothing_of_others(tmp_path):
    stated = ProcessHost()
    async with runner(stated) as first:
        assert await asked(first) == 1.0
        twin = stated.fresh()
        await twin.close()  # nobody has opened it: it has nothing of the first's
        assert await asked(first) == 2.0
    await stated.close()


def test_a_fresh_host_has_the_same_arguments_and_other_logs_where_told(tmp_path):
    stated = ProcessHost(env={"A": "1"}, logs=tmp_path, sandbox=None, answer_limit=5000)
    named = ("_env", "_sandbox", "_preload", "_log_limit", "_answer_limit")
    for twin, logs in ((stated.fresh(), tmp_path), (stated.fresh(logs=tmp_path / "x"), tmp_path / "x")):
        assert [getattr(twin, name) for name in named] == [getattr(stated, name) for name in named]
        assert (type(twin), twin._logs, twin is stated) == (ProcessHost, logs, False)


def test_a_name_is_a_host():
    assert isinstance(host_of("inline"), InlineHost)
    assert isinstance(host_of("process"), ProcessHost)


def test_a_host_that_was_given_back_is_given_as_it_is():
    stated = InlineHost()
    assert take(stated) is stated
    other = take(stated)
    assert other is not stated
    give_back(stated)
    assert take(stated) is stated
    give_back(stated)
    give_back(other)
