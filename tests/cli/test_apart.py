"""`predict` and `score`: the two workers as commands of their own, in real processes, on both databases."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import walk

from crunch_game import MemoryStore, open_store
from crunch_game.sync import run_game

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))  # the PostgreSQL server of the tests

from postgres import Server, server

pytestmark = pytest.mark.processes

PATIENCE = 30.0
NAMED = "process {pid} on "


@pytest.fixture(scope="module")
def postgres():
    with server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """The URL of a new store of each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'game.db'}"
    found: Server = request.getfixturevalue("postgres")
    return found.fresh()


def wait_for(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def ended(process, *, by: int | None = signal.SIGTERM) -> tuple[int, str, str]:
    if by is not None:
        os.kill(process.pid, by)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    return process.returncode, stdout, stderr


def undisturbed(game, models) -> MemoryStore:
    store = MemoryStore()
    run_game(game, models, store=store, host="inline")
    return store


def boards(store) -> object:
    """The boards that are noted, without the state of models, which is not known when all is played."""
    return json.loads(json.dumps((store.noted("leaderboard") or {}).get("boards")))


def test_a_score_worker_beside_a_predict_worker_comes_to_what_run_comes_to(start, installed, game, models, url):
    path = game()
    scoring = start("score", path, "--store", url, "--json")
    played = installed("predict", path, "--models", models, "--store", url, "--json")
    assert (played.code, played.stderr) == (0, "")
    whole = undisturbed(walk.game(), models)
    document = played.document
    assert (document["ticks"], document["predictions"]) == (40, len(whole.predictions()))
    assert "leaderboard" not in document
    with open_store(url) as store:
        wait_for(lambda: len(store.scores()) == len(whole.scores()))
        code, stdout, stderr = ended(scoring)
        assert (code, stderr) == (
            0,
            "the store has no rows yet; what `crunch-game predict` stores is scored as it comes\n",
        )
        as_it_was = [replace(each, elapsed=0, asked_at=None) for each in store.predictions()]
        assert as_it_was == [replace(each, elapsed=0, asked_at=None) for each in whole.predictions()]
        assert store.scores() == whole.scores()
        assert boards(store) == boards(whole)
    said = json.loads(stdout)
    assert said["scored"] == sum(each.reason is None for each in whole.scores())
    assert said["boards"]["main" if "main" in said["boards"] else next(iter(said["boards"]))] == said["leaderboard"]
    assert [each["model_id"] for each in said["leaderboard"]] == ["last", "loud"]


def test_what_is_due_is_scored_once_and_the_command_ends(command, game, models):
    path, url = game(), "sqlite:///game.db"
    assert command("predict", path, "--models", models, "--store", url, "--max-ticks", 12).code == 0
    first = command("score", path, "--store", url, "--once")
    assert first.code == 0
    assert "walk: the leaderboard" in first.stdout
    assert "scored\n" in first.stdout
    again = command("score", path, "--store", url, "--once")
    assert again.code == 0
    assert "nothing was due that is not scored already\n" in again.stdout
    assert command("leaderboard", "--store", url).code == 0


ENDLESS = """
    import sys, anyio

    class Endless(walk.ReplayFeed):
        async def rows(self, since=None, on_event=None):
            async for row in super().rows(since):
                yield row
            print("all told", file=sys.stderr, flush=True)
            await anyio.sleep_forever()
"""


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT], ids=lambda by: by.name)
def test_a_second_worker_of_a_kind_names_the_first_and_both_end_in_an_orderly_way(start, command, game, models, by):
    path, url = game(ENDLESS, "feed=Endless(walk.rows(10))"), "sqlite:///game.db"
    predicting = start("predict", path, "--models", models, "--store", url)
    assert predicting.stderr.readline() == "all told\n"
    scoring = start("score", path, "--store", url)
    with open_store(url) as store:
        wait_for(lambda: store.noted("leaderboard") is not None)
    for process, arguments in ((predicting, ["predict", path, "--models", models]), (scoring, ["score", path])):
        second = command(*arguments, "--store", url, "--json")
        kind = arguments[0]
        assert second.code == 2
        assert second.document["error"].startswith(f"the store has a {kind} worker already (process {process.pid} on ")
    code, stdout, stderr = ended(predicting, by=by)
    assert (code, stderr) == (0, "")
    assert "10 rows, 14 rounds, 28 predictions stored; 4 rounds left out, for want of a new row" in stdout
    assert "14 rounds, 4 missed" in stdout, "while it played"
    code, stdout, stderr = ended(scoring, by=by)
    assert (code, stderr) == (0, "")
    assert "walk: the leaderboard" in stdout
    with open_store(url) as store:
        assert (store.lease("predict"), store.lease("score")) == (None, None)


def test_who_comes_after_a_killed_worker_takes_over_and_plays_no_round_twice(start, installed, game, models, url):
    path = game(ENDLESS, "feed=Endless(walk.rows(10))")
    predict, score = ["predict", path, "--models", models, "--store", url], ["score", path, "--store", url]
    predicting, scoring = start(*predict), start(*score)
    assert predicting.stderr.readline() == "all told\n"
    whole = undisturbed(walk.game(feed=walk.ReplayFeed(walk.rows(10))), models)
    with open_store(url) as store:
        wait_for(lambda: len(store.scores()) == len(whole.scores()))
        played, scores = store.predictions(), store.scores()
        for process, arguments in ((predicting, predict), (scoring, score)):
            second = installed(*arguments, "--json")
            assert (second.code, f"(process {process.pid} on " in second.stdout) == (2, True)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        began = time.monotonic()
        predicting, scoring = start(*predict), start(*score)
        assert predicting.stderr.readline() == "all told\n"
        wait_for(lambda: (lease := store.lease("score")) is not None and lease.pid == scoring.pid)
        assert time.monotonic() - began < 30, "the time of the lease"
        assert store.lease("predict").pid == predicting.pid
        assert (store.predictions(), store.scores()) == (played, scores)
    assert (ended(predicting)[0], ended(scoring)[0]) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["score", "GAME", "--store", "memory:"],
            "--store memory: ends with the command; a score worker shares its store with another process: give a "
            "database, for example sqlite:///game.db",
        ),
        (
            ["predict", "GAME", "--models", "models", "--store", "memory://"],
            "--store memory:// ends with the command; a predict worker shares its store with another process: give a "
            "database, for example sqlite:///game.db",
        ),
        (
            ["score", "GAME", "--store", "sqlite:///others.db"],
            "the store keeps the game 'other', not 'walk'; give each game a store of its own",
        ),
        (
            ["predict", "GAME", "--models", "models", "--store", "sqlite:///others.db"],
            "the store keeps the game 'other', not 'walk'; give each game a store of its own",
        ),
        (
            ["score", "GAME", "--store", "sqlite:///empty.db", "--once"],
            "the store has no rows yet, so there is nothing to score; play the game first",
        ),
    ],
)
def test_a_store_that_is_not_the_games_is_told(command, game, models, arguments, sentence):
    with open_store("sqlite:///others.db") as store:
        store.note("game", {"name": "other"})
    open_store("sqlite:///empty.db").close()
    path = str(game())
    told = command(*[path if each == "GAME" else each for each in arguments], "--json")
    assert (told.code, told.document) == (2, {"error": sentence})


def test_a_store_that_is_not_there_is_not_made_to_be_scored_once(command, game, tmp_path):
    told = command("score", game(), "--store", "sqlite:///typo.db", "--once", "--json")
    assert told.code == 2
    assert "typo.db" in told.document["error"]
    assert not (tmp_path / "typo.db").exists()


def test_a_game_that_can_score_nothing_ends_with_1(command, game, models):
    path = game("", "score=lambda prediction, outcome: prediction.heads")
    assert command("predict", path, "--models", models, "--store", "sqlite:///game.db", "--max-ticks", 4).code == 0
    assert command("score", path, "--store", "sqlite:///game.db", "--once").code == 1
