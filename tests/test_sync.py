"""The blocking face: for scripts, and for notebooks whose own loop is busy."""

from __future__ import annotations

import asyncio
import threading

import pytest
import walk

from crunch_game import MemoryStore, MethodCall, Policy, Status
from crunch_game.errors import ContractError, GameError, UnknownModel, UsageError
from crunch_game.events import ModelReady
from crunch_game.sync import ModelRunner, run_game


def walking(*models: str, **options) -> ModelRunner:
    return ModelRunner(walk.Walk, list(models or walk.MODELS), policy=Policy(timeout=10), **options)


@pytest.fixture(params=["inline", "process"])
def host(request):
    return request.param


def test_models_are_called_without_a_loop(host):
    with walking(host=host) as runner:
        assert set(runner.models) == {"Mean", "Last", "Moody"}
        told = runner.tick({"BTC": 4.0})
        assert {outcome.status for outcome in told.values()} == {Status.OK}
        answers = runner.predict("BTC", 3600)
        assert {model: outcome.value for model, outcome in answers.items()} == {
            "Mean": 4.0,
            "Last": 4.001,
            "Moody": 4.0,
        }
        assert runner.call("predict", "BTC", 3600, models=["Mean"])["Mean"].value == 4.0


def test_several_calls_are_made_in_a_batch(host):
    with walking(host=host) as runner:
        calls = [MethodCall("tick", [{"BTC": 4.0}]), MethodCall("predict", ["BTC", 3600])]
        told, answers = runner.batch(calls, models=["Mean", "Last"])
        assert {outcome.status for outcome in told.values()} == {Status.OK}
        assert {model: outcome.value for model, outcome in answers.items()} == {"Mean": 4.0, "Last": 4.001}


def test_outcomes_are_streamed_and_the_rest_may_be_left(host):
    with walking(host=host) as runner:
        runner.tick({"BTC": 4.0})
        assert {outcome.model_id for outcome in runner.stream("predict", "BTC", 3600)} == {"Mean", "Last", "Moody"}
        stream = runner.stream("predict", "BTC", 3600)
        assert next(stream).status is Status.OK
        stream.close()
        assert len(runner.predict("BTC", 3600).succeeded) == 3


def test_a_model_is_stopped_and_readmitted(host):
    ready = threading.Event()
    readmitted = []

    def hear(event):
        if isinstance(event, ModelReady) and readmitted:
            ready.set()

    with walking(host=host, on_event=hear) as runner:
        runner.stop("Mean", "enough")
        assert runner.models["Mean"].health.reason == "enough"
        assert runner.tick({"BTC": 4.0})["Mean"].error.message == "it was stopped: enough"
        readmitted.append("Mean")
        runner.readmit("Mean")
        assert ready.wait(30)
        assert runner.models["Mean"].state == "ready"
        with pytest.raises(UnknownModel):
            runner.stop("Nobody", "why")


def test_hooks_run_for_each_fresh_model(host):
    runner = walking(host=host)
    joined = []

    @runner.on_join
    async def replay(model, inner):
        joined.append(model.id)
        await inner.tick({"BTC": 1.0}, models=[model.id])

    with runner:
        assert sorted(joined) == ["Last", "Mean", "Moody"]
        assert runner.predict("BTC", 3600)["Mean"].value == 1.0


def test_errors_reach_the_caller_as_they_are():
    with walking(host="inline") as runner, pytest.raises(ContractError, match=r"^walk\.Walk has no method 'foresee'"):
        runner.call("foresee")
    with pytest.raises(ZeroDivisionError), walking(host="inline"):
        raise ZeroDivisionError
    with pytest.raises(GameError, match=r"^there is no folder"):
        ModelRunner(walk.Walk, "no/such/folder")


def test_a_game_is_played_while_this_threads_own_loop_is_busy(host):
    async def cell():
        return run_game(walk.game(), walk.MODELS, store=store, host=host)

    store = MemoryStore()
    result = asyncio.run(cell())
    assert result.ticks == 40
    assert len(store.predictions()) == result.predictions


def test_a_games_error_is_not_in_a_group():
    with pytest.raises(UsageError, match=r"^the game walk has no feed of its own"):
        run_game(walk.game(feed=None), walk.MODELS)

    def per_model(model, standing):
        return {"pet": "cat"}

    with pytest.raises(ContractError, match=r"^per_model gave 'pet'"):
        run_game(walk.game(per_model=per_model), walk.MODELS, host="inline")
