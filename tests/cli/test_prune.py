"""`crunch-game prune`: what it deletes and keeps, amid a kill, and beside a running game."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import walk

from crunch_game import Predict, Prediction, Row, Score, open_store
from crunch_game.ranking import Board, Last
from crunch_game.storage import Lease, ScoredRound, Store
from crunch_game.sync import run_game

URL = "sqlite:///game.db"
DAY = timedelta(days=1)
BTC = [Predict(every="1h", horizon="2h", asset="BTC")]
PATIENCE = 30.0


def played(**options: Any) -> None:
    """Play the game over its history, with these options."""
    given = {"windows": {"short": "5h", "long": "8h"}, "predictions": BTC, **options}
    with open_store(URL) as store:
        run_game(walk.game(**given), ["walk:Last", "walk:Mean"], store=store, host="inline")


def counts(store: Store) -> tuple[int, int, int]:
    return len(store.rows()), len(store.predictions()), len(store.scores())


def test_a_dry_run_says_what_it_would_delete_and_the_run_does_it(command):
    played(history="6h")
    with open_store(URL) as store:
        before, board = counts(store), store.noted("leaderboard")
        newest = store.last_row().time
    dry = command("prune", "--store", URL, "--older", "10h", "--dry-run")
    assert dry.code == 0
    assert dry.stdout.splitlines()[0].startswith("to be deleted: ")
    assert f"  rounds before {newest - timedelta(hours=10):%Y-%m-%d %H:%M:%S} UTC" in dry.stdout
    with open_store(URL) as store:
        assert (counts(store), store.corrections()) == (before, [])
    ended = command("prune", "--store", URL, "--older", "10h", "--reason", "the disk is small", "--by", "ada", "--json")
    document = ended.document
    with open_store(URL) as store:
        after = counts(store)
        assert document["deleted"]["rows"] == before[0] - after[0] > 5
        assert document["deleted"]["predictions"] == before[1] - after[1] > 5
        assert document["deleted"]["scores"] == before[2] - after[2] > 5
        [(_, asked)] = store.corrections()
        assert (asked.verb, asked.by, asked.reason) == ("prune", "ada", "the disk is small")
        assert store.noted("leaderboard") == board
        assert store.rows()[0].time <= newest - timedelta(hours=16), "what resolves the oldest round is there"
    again = command("prune", "--store", URL, "--older", "10h")
    assert (again.code, again.stdout) == (0, "nothing is old enough to be deleted\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "kept: rows: `resolve` may look up any of them; give the game a history="),
        (
            {"history": "6h", "windows": None, "boards": [Board("main", windows={"last": Last(5)})]},
            "kept: rounds and rows: the window main/last is one of rounds",
        ),
        ({"history": "6h", "windows": {"long": "30h"}}, "on: the window walk/long looks back so far"),
    ],
)
def test_what_is_kept_is_said_and_why(command, options, said):
    played(**options)
    ended = command("prune", "--store", URL, "--older", "1h")
    assert ended.code == 0
    assert said in ended.stdout


def test_a_truth_that_is_not_known_yet_keeps_its_round_and_what_it_is_resolved_with(command):
    def unknown(prediction, history):
        return None if prediction.at.hour == 9 else walk.truth(prediction, history)

    played(history="6h", resolve=unknown)
    assert "on: those of predict(asset='BTC', horizon=7200) wait for their truth" in (
        command("prune", "--store", URL, "--older", "9h").stdout
    )
    with open_store(URL) as store:
        waiting = store.pending(store.last_row().time)[0]
        assert store.rows()[0].time <= waiting.at
        assert waiting.at - store.rows()[0].time < timedelta(hours=6)


def test_without_what_a_worker_has_noted_nothing_is_deleted_but_events(command):
    played(history="6h")
    with open_store(URL) as store:
        before = counts(store)
        store.note("needs-score", {"format": 9, "written": "2024-01-01T00:00:00+00:00"})
        now = datetime.now(UTC)
        assert store.swap_lease("predict", None, Lease("predict", "t", "alpha", 7, now, now))
    ended = command("prune", "--store", URL, "--older", "1h")
    assert "kept: rounds and rows: the score worker is of another version" in ended.stdout
    assert "kept: rows: the predict worker (process 7 on alpha) has not noted what it needs; try again" in ended.stdout
    with open_store(URL) as store:
        assert counts(store) == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--older", "soon"], "--older 'soon' is not a duration"),
        (["--older", "1d", "--reason", " "], "--reason is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(command, given, said):
    played()
    ended = command("prune", "--store", URL, *given, "--json")
    assert ended.code == 2
    assert said in ended.document["error"]


def filled(url: str, answers: int = 50, rounds: int = 600) -> None:
    """A store of a game that was played a week ago, and is to be played on."""
    start = datetime.now(UTC).replace(microsecond=0) - 7 * DAY
    minute = timedelta(minutes=1)
    with open_store(url) as store:
        for first in range(0, rounds, 20):
            slots = [start + n * minute for n in range(first, first + 20)]
            names = [f"m{n}" for n in range(answers)]
            rest = (60.0, {"asset": "BTC"})
            store.save(
                [Row(at, {"BTC": 1.0, "ETH": 1.0}, at) for at in slots],
                [Prediction(name, "d", "old", at, at + minute, *rest, value=1.0) for at in slots for name in names],
            )
            scores = [Score(name, "old", at, at + minute, 0.5) for at in slots for name in names]
            store.settle(scores, [ScoredRound("old", at, at + minute, *rest, answers) for at in slots])


LIVE = """
    import time
    from datetime import UTC, datetime, timedelta
    import anyio

    class Live:
        live = True

        async def rows(self, since=None, on_event=None):
            for n in range(30):
                await anyio.sleep(0.1)
                yield walk.Row(datetime.now(UTC), {"BTC": 1.0 + n, "ETH": 1.0})
                if n == 5:
                    open("told", "w").close()
"""
OPTIONS = (
    'feed=Live(), history="1h", windows={"w": "1h"}, wait=0.05, policy=walk.Policy(timeout=0.2), '
    'predictions=[walk.Predict(every=0.5, horizon=0.5, asset="BTC")]'
)


@pytest.mark.processes
def test_beside_a_running_game_no_round_is_late(start, command, game, models):
    filled(URL)
    worker = start("run", game(LIVE, OPTIONS), "--models", models, "--store", URL, "--json")
    deadline = time.monotonic() + PATIENCE
    while not Path("told").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    size = Path("game.db").stat().st_size
    ended = command("prune", "--store", URL, "--older", "1d", "--json")
    assert worker.poll() is None, "it was beside it"
    out, err = worker.communicate(timeout=PATIENCE)
    assert worker.returncode == 0, err
    assert ended.document["deleted"] | {"predictions": 30_000, "scores": 30_000} == ended.document["deleted"]
    assert ended.document["bytes"] > 2_000_000
    assert '"late": 0' in out
    with open_store(URL) as store:
        assert {each.key for each in store.predictions()} == {"predict(asset='BTC', horizon=0.5)"}
    assert Path("game.db").stat().st_size < size / 2


@pytest.mark.processes
def test_who_is_killed_amid_it_has_deleted_whole_rounds_and_the_next_goes_on(start, command):
    filled(URL)
    with open_store(URL) as store:
        store.save([Row(datetime.now(UTC), {"BTC": 1.0, "ETH": 1.0})])
        written = {"format": 1, "written": datetime.now(UTC).isoformat()}
        store.note("needs-predict", {**written, "rows": 60.0})
        store.note("needs-score", {**written, "history": 60.0, "windows": {"main/w": 60.0}})
    pruning = start("prune", "--store", URL, "--older", "1d")
    with open_store(URL) as store:
        whole = len(store.predictions())
        deadline = time.monotonic() + PATIENCE
        while len(store.predictions(model_id="m1")) == 600:
            assert time.monotonic() < deadline
        os.kill(pruning.pid, signal.SIGKILL)
        pruning.wait()
        predicted = store.predictions()
        assert len(predicted) < whole
        of_old = {(each.at, each.model_id) for each in predicted if each.key == "old"}
        assert of_old == {(each.at, each.model_id) for each in store.scores() if each.key == "old"}
        assert len(of_old) == 50 * len({at for at, _ in of_old})
        assert store.pending(datetime.now(UTC) - DAY) == []
    assert command("prune", "--store", URL, "--older", "1d").code == 0
    with open_store(URL) as store:
        assert [*store.predictions(), *store.scores()] == []
        assert 1 <= len(store.corrections()) <= 2, "the first may have been at its end"
