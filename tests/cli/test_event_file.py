"""`--events FILE` of `run`, `predict` and `score`: every event, as it is told, for whatever follows the file."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crunch_game import open_store
from crunch_game.cli.playing._event_file import EventFile
from crunch_game.errors import ResourceError
from crunch_game.events import ModelLeft
from crunch_game.storage import EventRecord, as_document, from_document

URL = "sqlite:///game.db"
FILE = Path("events.jsonl")


def written(path: Path = FILE) -> list[Any]:
    return [from_document(EventRecord, json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def parts(events: list[EventRecord]) -> list[Any]:
    """What does not depend on who writes it, and when; of two workers' threads, in no order."""
    found = [as_document(each) for each in events]
    return sorted(
        ([each[name] for name in ("kind", "text", "model_id", "details")] for each in found),
        key=lambda each: json.dumps(each, sort_keys=True),
    )


@pytest.mark.processes
def test_the_file_has_every_event_that_the_store_has_and_grows(command, game, models):
    text = "def noisy(prediction, outcome):\n    raise ValueError('odd')\n"
    path = game(text, "score=noisy")
    for kept in (1, 2):
        ended = command("run", path, "--models", models, "--store", URL, "--events", FILE, "--max-ticks", 5, "--json")
        assert ended.code in (0, 1), ended.stdout
        with open_store(URL) as store:
            events = [event for _, event in store.events()]
        found = written()
        assert parts(found) == parts(events)
        assert len({each.writer for each in found}) == kept
        assert [each.moment for each in found] == sorted(each.moment for each in found)
    assert {"ModelJoined", "TickPlayed", "RoundPlayed", "PredictionsSetAside"} <= {each.kind for each in found}
    assert max(each.seen for each in found if each.seen) == max(each.seen for each in events if each.seen)


@pytest.mark.processes
def test_two_workers_apart_append_to_one_file(command, game, models):
    path, store = game(), ("--store", URL, "--events", FILE)
    assert command("predict", path, "--models", models, *store, "--max-ticks", 8).code == 0
    assert command("score", path, *store, "--once").code == 0
    with open_store(URL) as opened:
        assert parts(written()) == parts([event for _, event in opened.events()])


@pytest.mark.processes
def test_a_full_disk_ends_no_game_and_is_told_once(installed, game, models):
    ended = installed("run", game(), "--models", models, "--store", "memory:", "--events", "/dev/full", "--json")
    assert ended.code == 0
    said = "events cannot be written to '/dev/full': No space left on device; the game goes on without"
    assert ended.stderr.count(said) == 1
    assert ended.document["ticks"] == 40


@pytest.mark.processes
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_played(installed, game, models):
    ended = installed("run", game(), "--models", models, "--store", URL, "--events", "no/such/events.jsonl")
    assert ended.code == 2
    assert "events cannot be written to 'no/such/events.jsonl': No such file or directory; give another" in ended.stderr


def left(n: int) -> ModelLeft:
    return ModelLeft(f"m{n}", "d1")


def test_a_file_that_is_moved_away_is_begun_anew():
    file = EventFile(FILE)
    file.hear(left(1))
    FILE.rename("old.jsonl")
    file.hear(left(2))
    assert [each.model_id for each in written(Path("old.jsonl"))] == ["m1"]
    assert [each.model_id for each in written()] == ["m2"]


def test_threads_write_whole_lines():
    file = EventFile(FILE)
    threads = [threading.Thread(target=lambda: [file.hear(left(n)) for n in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.model_id for each in written()) == sorted(4 * [f"m{n}" for n in range(50)])
    assert all(datetime.now(UTC) - each.moment < timedelta(minutes=5) for each in written())


def test_a_line_that_was_cut_is_followed_by_a_whole_one(monkeypatch, capsys):
    file, write = EventFile(FILE), os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, text: write(descriptor, text[:9]))
        file.hear(left(1))
    file.hear(left(2))
    cut, whole = FILE.read_text().splitlines()
    assert len(cut) == 9
    assert json.loads(whole)["model_id"] == "m2"


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ResourceError, match=r"Is a directory; give another file with --events$"):
        EventFile(tmp_path)
