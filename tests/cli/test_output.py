"""What the commands say: a table for people, one document for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from rich.console import Console

from crunch_game.cli._output import board, print_json

STANDING = {"rank": 1, "model_id": "[bold]alice", "coverage": 0.5, "scores": {"day": 0.123456789, "week": None}}


def test_a_board_marks_the_window_that_ranks_and_shows_what_is_not_known_as_such(capsys):
    console = Console(width=80)
    console.print(board([STANDING], rank_by="week", title="the game"))

    shown = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip("─ ")]
    assert shown == [
        ["the", "game"],
        ["rank", "model", "day", "week", "▾", "coverage"],
        ["1", "[bold]alice", "0.123457", "-", "50.0%"],
    ]


def test_a_board_of_nobody_has_no_windows(capsys):
    Console(width=80).print(board([], rank_by="week", title="the game"))
    assert "week" not in capsys.readouterr().out


def test_a_document_has_times_as_text(capsys):
    print_json({"at": datetime(2026, 1, 2, tzinfo=UTC), "standings": [STANDING]})
    assert json.loads(capsys.readouterr().out) == {"at": "2026-01-02T00:00:00+00:00", "standings": [STANDING]}
