"""`void`, `retract`, `restore`, `resolve --again` and `rescore`, asked of a score worker in another process."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import walk

from crunch_game import MemoryStore, Row, ScoreWorker, Status, Store, open_store

sys.path.insert(0, str(Path(__file__).parents[1] / "storage"))  # the PostgreSQL server of the tests

from postgres import Server, server

pytestmark = pytest.mark.processes

PATIENCE = 30.0
BTC = "predict(asset='BTC', horizon=7200)"


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


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def boards(store: Store) -> Any:
    """The boards that are noted, without the state of models."""
    return json.loads(json.dumps((store.noted("leaderboard") or {}).get("boards")))


def as_if(store: Store, *, row: Callable[[Row], Row], played: Callable[[Any], Any]) -> Store:
    """A store in which it had been so from the start, scored."""
    found, newest = MemoryStore(), store.last_row()
    assert newest is not None
    rows = {each.row.time: row(each.row) for _, each in store.arrivals() if each.row.time <= newest.time}
    found.save([rows[time] for time in sorted(rows)], [each for p in store.predictions() if (each := played(p))])
    for model in store.models():
        found.save(models=[model])
    worker = ScoreWorker(walk.game(), found)
    worker.step()
    worker.all_standings(newest.time)
    return found


def counting(store: Store) -> list[Any]:
    return [score for score in store.scores() if score.corrected is None]


def asked(command: Any, url: str, *arguments: Any) -> str:
    ended = command(*arguments, "--store", url, "--by", "ada", "--wait", PATIENCE)
    assert (ended.code, ended.stderr) == (0, "")
    return ended.stdout


def first_published(store: Store) -> datetime:
    """When boards were published first."""
    moment = store.corrections()[0][1].moment
    while not store.published(moment):
        moment += timedelta(milliseconds=1)
    return moment


def assert_the_record_tells_who_moved(
    command: Any, url: str, path: Path, store: Store, before: Any, after: Any
) -> None:
    """As it was published, as it is now, and whom the void has moved, though nobody has been published since."""
    seen = first_published(store)
    document = command("leaderboard", "--as-published", seen.isoformat(), "--store", url, "--json").document
    assert document["boards"] == before
    document = command(
        "leaderboard", "--as-published", datetime.now(UTC).isoformat(), "--store", url, "--json"
    ).document
    assert document["boards"] == after

    newest = store.rows()[-1].time.isoformat()
    asking = ["leaderboard", "--at", newest, "--as-published", seen.isoformat(), "--game", path, "--store", url]
    document = command(*asking, "--json").document
    assert ranks(document["boards"]) == ranks(after)
    moved = [
        (board, name, rank, ranks(after)[board][name])
        for board, places in ranks(before).items()
        for name, rank in places.items()
        if ranks(after)[board][name] != rank
    ]
    told = [(each["board"], each["model_id"], each["before"], each["after"]) for each in document["moved"]]
    assert sorted(told) == sorted(moved)
    assert all(each["corrections"] == [1] for each in document["moved"])
    [correction] = document["corrections"]
    assert (correction["number"], correction["by"], correction["reason"]) == (1, "ada", "the feed was broken")
    listed = command("corrections", "--store", url, "--json").document["corrections"]
    assert [(each["verb"], each["done"], each["scores"]) for each in listed] == [("void", True, correction["scores"])]
    assert "the feed was broken" in command(*asking).stdout


def ranks(documents: Any) -> dict[str, dict[str, int]]:
    return {
        name: {each["model_id"]: each["rank"] for each in document["leaderboard"]}
        for name, document in documents.items()
    }


def test_what_is_corrected_in_a_running_game_is_as_if_it_had_been_so_from_the_start(
    start, installed, command, game, models, url
):
    path = game()
    played = installed("predict", path, "--models", models, "--store", url)
    assert played.code == 0
    scoring = start("score", path, "--store", url)
    with open_store(url) as store:
        wait_for(lambda: store.scores() and boards(store))
        before, board = store.scores(), boards(store)
        hour = store.rows()[9].time
        voided = [each for each in before if hour <= each.at < hour + timedelta(hours=2)]

        def is_void(at: datetime) -> bool:
            return hour <= at < hour + timedelta(hours=2)

        said = asked(
            command,
            url,
            "void",
            "--since",
            hour,
            "--until",
            hour + timedelta(hours=2),
            "--reason",
            "the feed was broken",
        )
        assert said == f"voided: {len(voided)} scores changed (correction 1)\n"
        expected = as_if(store, row=lambda row: row, played=lambda p: None if is_void(p.at) else p)
        assert counting(store) == expected.scores()
        wait_for(lambda: boards(store) == boards(expected))
        assert boards(store) != board
        assert_the_record_tells_who_moved(command, url, path, store, board, boards(expected))

        revised = store.rows()[20].time
        store.save([Row(revised, {"BTC": 1.0, "ETH": 1.0}, arrived=store.rows()[-1].time)])
        said = asked(command, url, "resolve", "--again", "--reason", "the exchange has revised its price")
        assert said.startswith("resolved again: ")

        def truth(row: Row) -> Row:
            return Row(row.time, {"BTC": 1.0, "ETH": 1.0}) if row.time == revised else row

        expected = as_if(store, row=truth, played=lambda p: None if is_void(p.at) else p)
        assert counting(store) == expected.scores()
        wait_for(lambda: boards(store) == boards(expected))

        asked(command, url, "retract", "loud", "--key", BTC, "--reason", "it has seen the future")

        def honest(prediction: Any) -> Any:
            if is_void(prediction.at):
                return None
            if prediction.model_id == "loud" and prediction.key == BTC:
                return replace(prediction, status=Status.TIMEOUT, value=None)
            return prediction

        expected = as_if(store, row=truth, played=honest)
        assert counting(store) == expected.scores()
        wait_for(lambda: boards(store) == boards(expected))
        assert {each.corrected for each in store.scores(model_id="loud") if each.key == BTC} == {"retracted", "void"}

        asked(command, url, "restore", "--model", "loud", "--reason", "it was the clock")
        asked(command, url, "restore", "--reason", "the feed was right")
        asked(command, url, "rescore", "--reason", "to be sure")
        expected = as_if(store, row=truth, played=lambda p: p)
        assert store.scores() == expected.scores()
        wait_for(lambda: boards(store) == boards(expected))
        assert not store.former_scores(6), "nothing was to be scored anew"

        os.kill(scoring.pid, signal.SIGTERM)
        scoring.communicate(timeout=PATIENCE)
        assert scoring.returncode == 0
        assert [(each.verb, each.by, each.reason) for _, each in store.corrections()][:2] == [
            ("void", "ada", "the feed was broken"),
            ("resolve", "ada", "the exchange has revised its price"),
        ]
        corrected = [each for _, each in store.events() if each.kind == "Corrected"]
        assert len(corrected) == 6
        former = {(each.model_id, each.key, each.at): each.score for each in store.former_scores(1)}
        assert former == {(each.model_id, each.key, each.at): each for each in voided}


def test_what_is_asked_while_nobody_scores_is_done_by_who_scores_next(command, game, models):
    url, path = "sqlite:///game.db", game()
    assert command("run", path, "--models", models, "--store", url, "--max-ticks", 12).code == 0
    ended = command("retract", "last", "--store", url, "--reason", "enough")
    assert (ended.code, ended.stdout) == (
        0,
        "no score worker runs on this store: it is done when one starts (`crunch-game score GAME --once` does it, too) "
        "(correction 1)\n",
    )
    assert command("score", path, "--store", url, "--once").code == 0
    with open_store(url) as store:
        assert {each.corrected for each in store.scores(model_id="last")} == {"retracted"}
        assert {each.corrected for each in store.scores(model_id="loud")} == {None}
        [standing] = [each for each in next(iter(boards(store).values()))["leaderboard"] if each["model_id"] == "loud"]
        assert standing["rank"] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["void", "--since", "2h", "--until", "5h"],
            "--until 5h is not after --since 2h; give a later time",
        ),
        (["retract", "nobody"], "there is no model 'nobody' in the game; there is last, loud"),
        (
            ["rescore", "--key", "nothing"],
            "there is no prediction 'nothing' in the game; there is predict(asset='BTC', horizon=7200), "
            "predict(asset='ETH', horizon=21600)",
        ),
        (
            ["resolve"],
            "outcomes are resolved by themselves; add --again to have known ones asked for once more",
        ),
        (["rescore", "--since", "tomorrow"], None),
    ],
)
def test_what_cannot_be_meant_is_refused_and_not_written(command, game, models, arguments, sentence):
    url = "sqlite:///game.db"
    command("run", game(), "--models", models, "--store", url, "--max-ticks", 3)
    ended = command(*arguments, "--store", url, "--reason", "why", "--json")
    assert ended.code == 2
    if sentence is not None:
        assert ended.document == {"error": sentence}
    with open_store(url) as store:
        assert store.corrections() == []
