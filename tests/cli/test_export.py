"""`export`: what a store has as a file, whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import walk

from crunch_game import open_store
from crunch_game.sync import run_game

URL = "sqlite:///walk.db"
BTC, ETH = "predict(asset='BTC', horizon=7200)", "predict(asset='ETH', horizon=21600)"


@pytest.fixture
def kept():
    """The game of two models over 48 hours; BTC and ETH are asked for every hour."""
    with open_store(URL) as store:
        run_game(walk.game(), ["walk:Mean", "walk:Last"], store=store, host="inline")
        yield store


def wrong(ended, sentence: str) -> None:
    assert ended.code == 2
    assert ended.document == {"error": sentence} if ended.stdout else ended.stderr == f"error: {sentence}\n"


def lines(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_predictions_and_their_scores_are_written(command, kept, tmp_path):
    ended = command("export", URL, "--out", "found.csv")
    found = lines("found.csv")
    scores = {(each.model_id, each.key, each.at): each.value for each in kept.scores()}

    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.split() == [f"{len(found):,}", "predictions:", str(tmp_path / "found.csv")]
    assert [each["model_id"] for each in found] == [each.model_id for each in kept.predictions()]
    assert [float(each["answer"]) for each in found] == [each.value for each in kept.predictions()]
    told = [scores.get((each.model_id, each.key, each.at)) for each in kept.predictions()]
    assert [float(each["score"]) if each["score"] else None for each in found] == told
    assert any(told)


def test_one_document_says_what_was_written(command, kept, tmp_path):
    ended = command("export", URL, "--out", tmp_path, "--format", "jsonl", "--what", "rows", "--json")
    rows = [json.loads(line) for line in Path("rows.jsonl").read_text().splitlines()]

    assert ended.document == {"file": str(tmp_path / "rows.jsonl"), "what": "rows", "records": len(rows)}
    assert [json.loads(row["data"])["BTC"] for row in rows] == [row.data["BTC"] for row in kept.rows()]


def test_times_models_and_keys_choose(command, kept):
    newest = kept.last_row().time
    command("export", URL, "--out", "a.csv", "--model", "Mean", "--key", BTC, "--since", "6h", "--until", f"{newest}")
    expected = [
        each.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for each in kept.predictions(model_id="Mean")
        if each.key == BTC and 0 < (newest - each.resolves_at).total_seconds() <= 6 * 3600
    ]
    assert [each["at"] for each in lines("a.csv")] == expected
    assert expected
    day = str(newest.date())
    command("export", URL, "--out", "b.csv", "--since", day)
    assert len(lines("b.csv")) == sum(str(each.resolves_at.date()) >= day for each in kept.predictions()) > 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--model", "meen"], "the store has no model 'meen'; it has Last; Mean"),
        (["--key", "XRP"], f"the store has no key 'XRP'; it has {BTC}; {ETH}"),
        (["--what", "boards"], "a store has no 'boards'; it has predictions, scores, rows, rounds, models"),
        (["--since", "soon"], '--since \'soon\' is neither a duration ("1d", "90s") nor a time ("2024-03-05 12:00")'),
        (
            ["--since", "2024-02-01", "--until", "2024-01-01"],
            "nothing is between --since 2024-02-01 and --until 2024-01-01",
        ),
        (["--format", "xlsx"], "'xlsx'; it may be parquet, csv, jsonl"),
        (["--what", "models", "--since", "7d", "--key", BTC], f"models are of no key; leave out key={BTC!r}"),
    ],
)
@pytest.mark.parametrize("how", [[], ["--json"]], ids=["people", "json"])
def test_wrong_usage_is_a_sentence_and_leaves_no_file(command, kept, options, sentence, how):
    before = sorted(Path().iterdir())
    wrong(command("export", URL, "--out", "a.csv", *options, *how), sentence)
    assert sorted(Path().iterdir()) == before


def test_there_is_no_store(command):
    wrong(
        command("export", "sqlite:///none.db", "--out", "a.csv"),
        "there is no store at none.db; the game that writes it must be started first",
    )


@pytest.mark.processes
def test_progress_is_shown_at_a_terminal_and_nowhere_else(kept, installed):
    piped = installed("export", URL, "--out", "a.csv")
    assert piped.stderr == ""
    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).parent / "crunch-game"), "export", URL, "--out", "b.csv"]
    done = subprocess.run(
        command, stderr=theirs, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"TERM": "xterm"}
    )
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert f"{len(kept.predictions()):,} predictions, up to 2024-01-0" in shown
    assert done.stdout == piped.stdout.replace("a.csv", "b.csv")
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
