"""The same game over history: in a script, in a notebook, and whichever of module and function was imported first."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import walk

from crunch_game import Backtest, MemoryStore, Predict, ReplayFeed, backtest
from crunch_game.errors import UsageError
from crunch_game.sync import run_game

GAMES = Path(walk.__file__).parent


def same(predictions):
    return [replace(each, elapsed=0.0) for each in predictions]


@pytest.fixture(scope="module")
def result() -> Backtest:
    return backtest(walk.game(), walk.MODELS)


@pytest.mark.processes
@pytest.mark.parametrize("host", ["inline", "process"])
def test_it_is_what_a_run_of_the_game_gives(result, host):
    store = MemoryStore()
    played = run_game(walk.game(), walk.MODELS, store=store, host="process")
    found = backtest(walk.game(), walk.MODELS, host=host)
    assert same(found.stored_predictions()) == same(store.predictions()) == same(result.stored_predictions())
    assert found.scores == store.scores() == result.scores
    assert found.leaderboard == played.leaderboard == result.leaderboard
    assert (found.ticks, found.rounds, found.predictions) == (played.ticks, played.rounds, played.predictions)


def test_it_works_in_a_cell_whose_loop_is_running(result):
    async def cell():
        return backtest(walk.game(), walk.MODELS)

    assert asyncio.run(cell()).leaderboard == result.leaderboard


def test_one_class_will_do():
    class Mine(walk.Mean):
        def predict(self, asset, horizon):
            return 1.0

    found = backtest(walk.game(), Mine, max_ticks=5)
    assert {prediction.model_id for prediction in found.stored_predictions()} == {"Mine"}
    assert found.ticks == 5


def test_other_history_than_the_games_own():
    found = backtest(walk.game(feed=None), walk.Mean, feed=ReplayFeed(walk.rows(7, seed=3)))
    assert found.ticks == 7


def test_it_shows_its_leaderboard(result):
    lines = repr(result).splitlines()
    assert lines[0].split() == ["rank", "model", "short", "long", "coverage"]
    assert [line.split()[:2] for line in lines[1:]] == [
        [str(standing.rank), standing.model_id] for standing in result.leaderboard
    ]
    assert str(result) == repr(result)
    html = result._repr_html_()
    assert html.count("<tr>") == 4
    assert "<th>coverage</th>" in html


def test_names_in_the_html_are_escaped():
    from crunch_game import Submission

    found = backtest(walk.game(), [Submission("<b>", walk.Mean)])
    assert "&lt;b&gt;" in found._repr_html_()


def test_without_any_score_there_is_a_head_only():
    found = backtest(walk.game(), walk.Mean, max_ticks=1)
    assert repr(found).split() == ["rank", "model", "coverage"]


def test_a_live_feed_would_never_end():
    class Live:
        live = True

        def rows(self, since=None, on_event=None): ...

    with pytest.raises(UsageError) as caught:
        backtest(walk.game(feed=Live()), walk.Mean)
    assert str(caught.value) == "the feed of walk is live; give a backtest a history: feed=ReplayFeed(...)"


def test_no_feed_at_all():
    with pytest.raises(UsageError, match=r"^the game walk has no feed of its own"):
        backtest(walk.game(feed=None), walk.Mean)


def test_a_row_without_an_answer_is_no_error():
    game = walk.game(predictions=[Predict(every="1h", horizon="2h", asset="BTC")])
    coverage = {
        standing.model_id: standing.coverage for standing in backtest(game, [walk.Mean, walk.Moody]).leaderboard
    }
    assert coverage["Moody"] < coverage["Mean"] == 1.0


@pytest.mark.processes
@pytest.mark.parametrize(
    "imports",
    [
        "import crunch_game",
        "import crunch_game.sync",
        "import crunch_game._backtest",
        "import crunch_game; crunch_game.backtest; import crunch_game._backtest",
        "from crunch_game import backtest; import crunch_game; assert crunch_game.backtest is backtest",
    ],
)
def test_it_is_the_function_whatever_was_imported_before(imports):
    program = f"{imports}\nimport walk\nprint(crunch_game.backtest(walk.game(), walk.Mean, max_ticks=3).ticks)"
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=GAMES, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("3\n", "")
