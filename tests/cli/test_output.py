"""What the commands say: a table for people, one document for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from rich.console import Console

from crunch_game.cli._output import board, print_json, screen
from crunch_game.ranking import Standing

STANDING = {
    "rank": 1,
    "model_id": "[bold]alice",
    "coverage": 0.5,
    "rounds": 4,
    "scored": 2,
    "scores": {"day": 0.123456789, "week": None},
}


def test_a_board_marks_the_window_that_ranks_and_shows_what_is_not_known_as_such(capsys):
    console = Console(width=80)
    console.print(board([Standing(**STANDING)], rank_by="week", title="the game", legend=None))

    shown = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip("─ ")]
    assert shown == [
        ["the", "game"],
        ["rank", "model", "day", "week", "▾", "rounds", "coverage"],
        ["1", "[bold]alice", "0.123457", "–", "4", "50.0%"],
    ]


def test_a_board_by_skill_leaves_out_what_the_screen_has_no_room_for(capsys, monkeypatch):
    skilled = Standing(**STANDING, skill=0.1, skills={"day": 0.1, "week": 0.1}, keys={"a": 0.5, "b": 2.0})
    for width, last in ((90, ["coverage", "a", "b"]), (60, ["rounds", "coverage"])):
        monkeypatch.setattr(screen, "width", width)
        screen.print(board([skilled], rank_by="week", title="the game", legend="skill: in %"))
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1].strip() == "skill: in %"
        [head] = [line.split() for line in lines if "coverage" in line]
        assert head[-len(last) :] == last


def test_a_board_of_nobody_has_no_windows(capsys):
    Console(width=80).print(board([], rank_by="week", title="the game", legend=None))
    assert "week" not in capsys.readouterr().out


def test_a_document_has_times_as_text(capsys):
    print_json({"at": datetime(2026, 1, 2, tzinfo=UTC), "standings": [STANDING]})
    assert json.loads(capsys.readouterr().out) == {"at": "2026-01-02T00:00:00+00:00", "standings": [STANDING]}
