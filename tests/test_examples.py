"""The examples are played as they stand."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from crunch_game.testing import store_suite

EXAMPLES = Path(__file__).parent.parent / "examples"
sys.path.append(str(EXAMPLES))

from jsonl_store import JsonLinesStore  # noqa: E402

TestJsonLinesStore = store_suite(lambda folder: JsonLinesStore(folder / "game.jsonl"), shared=False)


def test_a_line_that_a_kill_has_cut_is_no_write(tmp_path: Path) -> None:
    path = tmp_path / "game.jsonl"
    with JsonLinesStore(path) as store:
        store.note("game", {"name": "walk"})
        store.note("game", {"name": "birds"})
    path.write_bytes(path.read_bytes()[:-5])
    with JsonLinesStore(path) as store:
        assert store.noted("game") == {"name": "walk"}
        store.note("other", {})
    with JsonLinesStore(path) as store:
        assert (store.noted("game"), store.noted("other")) == ({"name": "walk"}, {})


def run(script: str, *arguments: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / script, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.processes
def test_the_custom_runner_plays_an_authors_own_methods_to_the_end(tmp_path: Path) -> None:
    *rounds, end = run("custom_runner.py", folder=tmp_path).splitlines()
    assert rounds[0].startswith("between 1 and 1000: {'Halving': 500, 'Hasty': ")
    assert end.startswith("it is ")


@pytest.mark.processes
def test_an_authors_own_store_and_scorer_are_used(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    board = run("own_hooks.py", str(journal), folder=tmp_path).splitlines()
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    predicted = [line for line in lines if "predicted" in line]
    scored = [line for line in lines if "score" in line]
    assert len(predicted) == 500
    assert len(scored) == 498, "all but the last day's, whose truth is not known"
    assert {line["score"] for line in scored if line["model"] == "Undecided"} == {0.5 / math.hypot(0.5, 0.5)}
    assert board[0].split() == ["rank", "model", "quarter", "rounds", "coverage", "mean", "score"]
    ranked = [line.split() for line in board[1:3]]
    assert [rank for rank, *_ in ranked] == ["1", "2"]
    assert {model for _, model, *_ in ranked} == {"Undecided", "Gambler"}
    assert float(ranked[0][-1]) > float(ranked[1][-1]), "higher is better"
    assert "skill: by how much better than the others, in % of the rule's unit, 0.292893" in board
