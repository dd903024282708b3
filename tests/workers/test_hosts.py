"""Where a game's models run: what the game states, unless who plays it says otherwise."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

import pytest
import walk

from crunch_game import InlineHost, MemoryStore, ProcessHost, Sandbox, backtest
from crunch_game.models import Submission
from crunch_game.rosters import Roster, StaticRoster
from crunch_game.sync import run_game
from crunch_game.workers import ScoreWorker

pytestmark = pytest.mark.processes

GAMES = ProcessHost(env={"PLACE": "7"})
OTHER = ProcessHost(env={"PLACE": "8"})


HERE = """
import os
from walk import Walk


class Here(Walk):
    def tick(self, prices):
        pass

    def predict(self, asset, horizon):
        return float(os.environ.get("PLACE", "1" if os.environ.get("HERE") is None else "0"))
"""
"""A model that says where it is: the variable PLACE, 1 in another process without it, 0 in this one."""


class Needing(Roster):
    """A roster whose models need a host of their own."""

    def __init__(self, path: Path, host: object) -> None:
        self._path = path
        self._host = host

    async def follow(self) -> AsyncGenerator[Mapping[str, Submission]]:
        async for submissions in StaticRoster([self._path]).follow():
            yield submissions

    def host(self):
        return self._host


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The model's file."""
    monkeypatch.setenv("HERE", "1")  # which models in processes do not get
    path = tmp_path / "here.py"
    path.write_text(HERE)
    return path


def place(stated, models, **options) -> float:
    """What the models say when the game is run."""
    store = MemoryStore()
    run_game(walk.game(host=stated), models, store=store, max_ticks=1, **options)
    [said] = {prediction.value for prediction in store.predictions()}
    return said


@pytest.mark.parametrize(
    ("stated", "said"), [(None, 1.0), ("process", 1.0), ("inline", 0.0), (InlineHost(), 0.0), (GAMES, 7.0)]
)
def test_a_game_is_run_where_it_says(here, stated, said):
    assert place(stated, [here]) == said


@pytest.mark.parametrize(
    ("stated", "asked", "said"),
    [
        (GAMES, "inline", 0.0),
        (GAMES, OTHER, 8.0),
        (GAMES, "process", 7.0),  # the game says how
        ("inline", "process", 1.0),
        (InlineHost(), "process", 1.0),
        ("inline", GAMES, 7.0),
    ],
)
def test_who_runs_it_may_say_otherwise(here, stated, asked, said):
    assert place(stated, [here], host=asked) == said


def test_models_that_need_a_host_get_it_whatever_the_game_says(here):
    assert place(GAMES, Needing(here, OTHER)) == 8.0
    assert place(GAMES, Needing(here, None)) == 7.0
    assert place(GAMES, Needing(here, OTHER), host="inline") == 0.0


@pytest.mark.parametrize(("options", "said"), [({}, 0.0), ({"host": "process"}, 7.0), ({"host": OTHER}, 8.0)])
def test_a_backtest_is_inline_unless_asked(here, options, said):
    result = backtest(walk.game(host=GAMES), [here], max_ticks=1, **options)
    assert {prediction.value for prediction in result.stored_predictions()} == {said}


def test_the_sandbox_of_the_game_holds(tmp_path):
    """Memory, files and network are stated in the game, and each call of it tells."""
    secret = tmp_path / "elsewhere" / "secret.txt"
    secret.parent.mkdir()
    secret.write_text("5")
    model = tmp_path / "models" / "curious.py"
    model.parent.mkdir()
    model.write_text(
        "from walk import Walk\n\n\nclass Curious(Walk):\n    def tick(self, prices):\n        pass\n\n"
        f"    def predict(self, asset, horizon):\n        return float(open({str(secret)!r}).read())\n"
    )

    def answers(host) -> set:
        result = backtest(walk.game(host=host), [model], host="process", max_ticks=1)
        return {prediction.value for prediction in result.stored_predictions()}

    assert answers(None) == {None}
    assert answers(ProcessHost(sandbox=Sandbox(read=[secret]))) == {5.0}


def test_a_game_is_run_twice_and_scored_with_one_host(here):
    game, store = walk.game(host=GAMES), MemoryStore()
    run_game(game, [here], store=store, max_ticks=5)
    run_game(game, [here], store=store, max_ticks=5)
    ScoreWorker(game, store).step()
    assert {prediction.value for prediction in store.predictions()} == {7.0}
    assert len(store.scores()) > 5


def test_what_a_model_printed_is_beside_its_fault(tmp_path):
    model = tmp_path / "loud.py"
    model.write_text(
        "from walk import Walk\n\n\nclass Loud(Walk):\n"
        "    def tick(self, prices):\n        print('told', len(prices))\n\n"
        "    def predict(self, asset, horizon):\n        raise ValueError('no')\n"
    )
    result = backtest(walk.game(), [model], host="process", max_ticks=1)
    [fault] = result.faults
    assert (fault.stdout, fault.stderr) == ("told 2", None)
    assert fault.details.endswith("\nstdout:\ntold 2")
    assert "  stdout:\n  told 2" in str(result)
