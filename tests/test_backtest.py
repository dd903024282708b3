"""The same game over history: in a script, in a notebook, and whichever of module and function was imported first."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from html import escape
from pathlib import Path

import pandas as pd
import pytest
import walk

from crunch_game import Backtest, MemoryStore, Policy, Predict, ReplayFeed, Row, Submission, backtest
from crunch_game.errors import CrunchGameError, UsageError
from crunch_game.sync import run_game
from crunch_game.workers import Answered

GAMES = Path(walk.__file__).parent


def same(predictions):
    return [replace(each, elapsed=0.0, asked_at=None) for each in predictions]


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


def test_a_mapping_gives_the_ids_and_one_submission_will_do():
    named = backtest(walk.game(), {"a": walk.Mean, "b": walk.Mean}, max_ticks=5)
    assert {prediction.model_id for prediction in named.stored_predictions()} == {"a", "b"}
    alone = backtest(walk.game(), Submission("solo", walk.Mean), max_ticks=5)
    assert {prediction.model_id for prediction in alone.stored_predictions()} == {"solo"}


TABLE = pd.DataFrame({"time": [1, 2], "BTC": [1.0, 2.0]})


@pytest.mark.parametrize("play", [backtest, run_game])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"feed": TABLE}, "feed is an instance of DataFrame; it must be a Feed, for example ReplayFeed(...)"),
        ({"feed": "x.csv"}, "feed is 'x.csv'; it must be a Feed, for example ReplayFeed('x.csv')"),
        ({"feed": ReplayFeed}, "feed is the class ReplayFeed; give an instance: feed=ReplayFeed(...)"),
        ({"game": walk.Mean}, "the game is the class Mean; give a Game"),
        ({"models": [walk.Mean()]}, "an instance of Mean is not where a model comes from; give the class: Mean"),
    ],
)
def test_what_is_given_where_something_else_is_meant(play, options, sentence):
    with pytest.raises(CrunchGameError) as caught:
        play(**{"game": walk.game(), "models": [walk.Mean], "host": "inline"} | options)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("store", "sentence"),
    [
        ("postgresql://me:secret@host/game", "store is text; open what it names: store=open_store(...)"),
        (MemoryStore, "store is the class MemoryStore; give an instance: store=MemoryStore(...)"),
    ],
)
def test_what_is_no_store(store, sentence):
    with pytest.raises(UsageError) as caught:
        run_game(walk.game(), [walk.Mean], store=store, host="inline")
    assert str(caught.value) == sentence


def test_other_history_than_the_games_own():
    found = backtest(walk.game(feed=None), walk.Mean, feed=ReplayFeed(walk.rows(7, seed=3)))
    assert found.ticks == 7


def test_it_shows_its_leaderboard(result):
    lines = repr(result).split("\n\n")[0].splitlines()
    assert lines[0].split() == ["rank", "model", "short", "long", "rounds", "coverage", "BTC", "ETH"]
    assert [line.split()[:2] for line in lines[1:]] == [
        [str(standing.rank), standing.model_id] for standing in result.leaderboard
    ]
    assert str(result) == repr(result)
    html = result._repr_html_()
    assert html.count("<tr>") == 4
    assert "<th>coverage</th>" in html


def test_it_tells_the_faults_with_their_tracebacks(result):
    btc, eth = result.faults
    key = "predict(asset='BTC', horizon=7200)"
    first = walk.rows()[4].time
    assert (btc.model_id, btc.called, btc.kind, btc.count, btc.asked) == ("Moody", key, "RuntimeError", 8, 40)
    assert (btc.first, btc.message) == (first, "RuntimeError: not in the mood after 5 rows")
    assert btc.traceback.endswith("RuntimeError: not in the mood after 5 rows")
    assert "in predict" in btc.traceback
    assert result.answered["Moody"] == {
        "tick": Answered(40, 40),
        key: Answered(40, 32),
        eth.called: Answered(eth.asked, eth.asked - eth.count),
    }
    assert result.answered["Mean"][key].share == 1.0
    told = str(result).split("\n\n")
    assert told[1] == result.legend == "skill: by how much better than the others, in % of the usual loss"
    assert f"</table><p>{result.legend}</p>" in result._repr_html_()
    sentence, *traceback = told[2].splitlines()
    assert sentence == (
        f"Moody: {key}: 8 of 40 times, first at {first:%Y-%m-%d %H:%M:%S} UTC: "
        "RuntimeError: not in the mood after 5 rows"
    )
    assert "\n".join(line.removeprefix("  ") for line in traceback) == btc.traceback
    assert f"<summary>{escape(sentence)}</summary><pre>{escape(btc.traceback)}</pre>" in result._repr_html_()


class HalfDeaf(walk.Mean):
    """It fails every second tick, and answers all the same."""

    def tick(self, prices):
        super().tick(prices)
        if len(self.heard) % 2:
            raise ValueError("I did not hear")


def test_a_model_that_fails_half_its_ticks_shows_it():
    found = backtest(walk.game(), [HalfDeaf, walk.Mean])
    assert found.answered["HalfDeaf"]["tick"] == Answered(40, 20)
    head, *rows = [line.split() for line in str(found).split("\n\n")[0].splitlines()]
    assert head[-4:] == ["coverage", "ticks", "BTC", "ETH"]
    assert {row[1]: row[-4:-2] for row in rows} == {"HalfDeaf": ["100.0%", "50.0%"], "Mean": ["100.0%", "100.0%"]}
    assert [fault.called for fault in found.faults] == ["tick"]


def test_a_model_that_could_not_be_loaded_is_told():
    found = backtest(walk.game(), [walk.Walk])
    assert [(fault.model_id, fault.called, fault.count) for fault in found.faults] == [
        ("Walk", "load", 1),
        ("Walk", "every call", 98),
    ]
    board, fault = str(found).split("\n\n")
    assert board == "no model has a score"
    assert fault.splitlines()[0].startswith(
        "Walk could not be loaded: the model that Walk makes, of class Walk, lacks "
    )
    assert found._repr_html_().startswith("<table><tr><th>no model has a score</th></tr></table>")


class Fails(walk.Mean):
    """It answers every third time."""

    def predict(self, asset, horizon):
        if len(self.heard) % 3:
            raise ValueError("not now")
        return super().predict(asset, horizon)


class DiesYoung(walk.Mean):
    def predict(self, asset, horizon):
        if len(self.heard) > 3:
            raise ValueError("never again")
        return super().predict(asset, horizon)


BTC = [Predict(every="1h", horizon="1h", asset="BTC")]


@pytest.mark.slow
def test_alone_a_model_that_fails_most_calls_does_not_show_that_it_answered_all():
    rows = [Row(walk.T0 + hour * walk.HOUR, {"BTC": 100.0 + hour}) for hour in range(901)]
    game = walk.game(feed=ReplayFeed(rows), predictions=BTC, windows={"all": "1000h"})
    [alone] = backtest(game, Fails).leaderboard
    # It counts from its first answer, in the third round.
    assert (alone.scored, alone.rounds, alone.coverage) == (300, 898, 300 / 898)


def test_models_that_died_show_it_though_nobody_is_left():
    policy = Policy(timeout=10, max_consecutive_failures=3)
    game = walk.game(predictions=BTC, windows={"all": "1000h"}, policy=policy)
    found = backtest(game, {"a": DiesYoung, "b": DiesYoung})
    assert {model.state for model in found.models} == {"stopped"}
    due = [each for each in found.stored_predictions() if each.resolves_at <= walk.rows()[-1].time]
    assert len(due) > 70
    for standing in found.leaderboard:
        assert (standing.scored, standing.rounds) == (3, len(due) // 2)
    told = [(fault.model_id, fault.called, fault.kind) for fault in found.faults]
    raised, gone = ("predict(asset='BTC', horizon=3600)", "ValueError"), ("every call", "stopped")
    assert told == [(model_id, *fault) for model_id in "ab" for fault in (raised, gone)]


def test_names_in_the_html_are_escaped():
    from crunch_game import Submission

    found = backtest(walk.game(), [Submission("<b>", walk.Mean)])
    assert "&lt;b&gt;" in found._repr_html_()


def test_without_any_score_it_says_so():
    found = backtest(walk.game(), walk.Mean, max_ticks=1)
    assert repr(found) == "no model has a score"


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


def test_it_is_a_frame_of_its_leaderboard_and_of_all_that_was_played(result):
    board = result.to_frame()
    assert list(board["model_id"]) == [standing.model_id for standing in result.leaderboard]
    assert list(board["rank"]) == [standing.rank for standing in result.leaderboard]
    for window in ("short", "long"):
        assert list(board[f"score_{window}"]) == [standing.scores[window] for standing in result.leaderboard]
        assert list(board[f"skill_{window}"]) == [standing.skills[window] for standing in result.leaderboard]
    assert list(result.to_frame("predictions")["answer_number"].dropna()) == [
        each.value for each in result.stored_predictions() if each.value is not None
    ]
    assert len(result.to_frame("scores")) == len(result.scores)
    assert list(result.to_frame("models")["state"]) == [model.state for model in result.models]
    faults = result.to_frame("faults", library="polars")
    assert faults["message"].to_list() == [fault.message for fault in result.faults] != []
    assert faults["first"].to_list() == [fault.first for fault in result.faults]


def test_a_frame_of_a_game_without_a_score_has_the_same_columns(result):
    nothing = backtest(walk.game(), walk.MODELS, max_ticks=0)
    for what in ("leaderboard", "models", "faults", "predictions", "scores", "rows", "rounds"):
        none, some = (each.to_frame(what, library="polars") for each in (nothing, result))
        assert none.schema == some.schema, what
    assert len(nothing.to_frame()) == 0


def test_a_result_says_where_the_rest_is(result):
    played = run_game(walk.game(), walk.MODELS, host="inline", max_ticks=3)
    assert list(played.to_frame().columns) == list(result.to_frame().columns)
    with pytest.raises(UsageError) as caught:
        played.to_frame("predictions")
    assert str(caught.value) == (
        "a result has no 'predictions'; it has leaderboard, models, faults, and its store the rest: store.to_frame()"
    )
