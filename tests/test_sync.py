"""The blocking face: for scripts, and for notebooks whose own loop is busy."""

from __future__ import annotations

import asyncio
import inspect
import pydoc
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import walk

import crunch_game
from crunch_game import MemoryStore, MethodCall, Policy, Status
from crunch_game.errors import ContractError, GameError, UnknownModel, UsageError
from crunch_game.events import ModelReady
from crunch_game.sync import ModelRunner, run_game

GAMES = Path(walk.__file__).parent


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


# Ctrl-C


PATIENCE = 30

PROGRAM = """
import sys, time
import walk
from crunch_game import TickPlayed, backtest
from crunch_game.sync import ModelRunner, run_game

class Endless(walk.Mean):
    def predict(self, asset, horizon):
        if len(self.heard) == 5:
            print("busy", flush=True)
            end = time.monotonic() + 60
            while time.monotonic() < end:
                pass
        return 1.0

class Stubborn(walk.Mean):
    def predict(self, asset, horizon):
        print("busy", flush=True)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                time.sleep(0.01)
            except BaseException:
                pass
        return 1.0

def told(event):
    if isinstance(event, TickPlayed) and event.at == rows[4].time:
        print("busy", flush=True)

rows = walk.rows(20_000)
game = walk.game(feed=walk.ReplayFeed(rows))

def played(host):
    return run_game(game, ["walk:Mean"], host=host, on_event=told)

def endless():
    return backtest(game, [Endless, walk.Mean])

def stubborn():
    return backtest(game, Stubborn)

def call():
    with ModelRunner(walk.Walk, [Stubborn if sys.argv[2:] else Endless], host="inline") as runner:
        for _ in range(5):
            runner.tick({"BTC": 1.0})
        runner.predict("BTC", 3600)

result = eval(sys.argv[1])
print(result.ticks, result.rounds, [standing.model_id for standing in result.leaderboard])
print(result)
"""


@contextmanager
def interrupted(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A script that has got its first Ctrl-C when its fifth row was told."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments]
    with subprocess.Popen(
        command, cwd=GAMES, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as script:
        try:
            assert script.stdout.readline() == "busy\n", script.stderr.read()
            script.send_signal(signal.SIGINT)
            yield script
        finally:
            script.kill()


HINT = "interrupted: the game ends after this row; interrupt it once more to end it at once\n"


@pytest.mark.processes
@pytest.mark.parametrize("which", ["played('inline')", "played('process')", "endless()"])
def test_an_interrupted_game_gives_what_was_played(which):
    with interrupted(which) as script:
        out, err = script.communicate(timeout=PATIENCE)
    assert (script.returncode, err) == (0, HINT)
    told, *shown = out.splitlines()
    ticks, rounds, leaders = told.split(maxsplit=2)
    assert 5 <= int(ticks) < 20_000
    assert int(rounds) >= 5
    assert "'Mean'" in leaders
    assert f"interrupted: this is what was played until then, {int(ticks):,} rows" in shown
    if which == "endless()":
        assert int(ticks) == 5
        [fault] = [
            line for line in shown if line.startswith("Endless: predict(asset='BTC', horizon=7200): 1 of 5 times")
        ]
        assert "was interrupted after" in fault
        assert any(line.endswith("in predict") for line in shown)  # the traceback says where it hung


@pytest.mark.processes
def test_a_second_interrupt_ends_it_though_a_model_catches_everything():
    with interrupted("stubborn()") as script:
        assert script.stderr.readline() == HINT
        script.send_signal(signal.SIGINT)
        out, err = script.communicate(timeout=PATIENCE)
    assert (script.returncode, out) == (-signal.SIGINT, "")
    assert err.splitlines()[-1] == "KeyboardInterrupt"


@pytest.mark.processes
@pytest.mark.parametrize("arguments", [["call()"], ["call()", "stubborn"]], ids=["endless", "stubborn"])
def test_an_interrupted_call_raises(arguments):
    with interrupted(*arguments) as script:
        out, err = script.communicate(timeout=PATIENCE)
    assert (script.returncode, out) == (-signal.SIGINT, "")
    assert err.splitlines()[-1] == "KeyboardInterrupt"


def test_help_shows_what_may_be_given_and_what_it_means():
    for blocking, other in [
        (run_game, crunch_game.run_game),
        (ModelRunner.__init__, crunch_game.ModelRunner.__init__),
        (ModelRunner.call, crunch_game.ModelRunner.call),
        (ModelRunner.stream, crunch_game.ModelRunner.stream),
    ]:
        assert inspect.signature(blocking) == inspect.signature(other)
        assert not inspect.iscoroutinefunction(blocking)
    shown = pydoc.render_doc(run_game, renderer=pydoc.plaintext)
    assert "run_game(game: 'Game', models: 'Models', *, store:" in shown
    assert "max_ticks: Stop after this many rows." in shown
    assert "a second one raises KeyboardInterrupt" in shown
    assert inspect.signature(ModelRunner) == inspect.signature(crunch_game.ModelRunner)
    assert run_game.__module__ == "crunch_game.sync"
