"""What the commands say: tables and sentences for people, or one JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, NoReturn

from rich import box
from rich.console import Console
from rich.markup import escape as escape
from rich.table import Table

from crunch_game.scoring.leaderboard import Standing

__all__ = ["as_documents", "board", "escape", "fail", "print_json", "screen"]

screen = Console(highlight=False)


def print_json(document: Mapping[str, Any]) -> None:
    """The one document on stdout."""
    sys.stdout.write(json.dumps(document, indent=2, default=_plain) + "\n")


def fail(message: str, *, as_json: bool) -> NoReturn:
    """Say what is wrong, and exit with 2."""
    if as_json:
        print_json({"error": message})
    else:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/] {escape(message)}")
    sys.exit(2)


def as_documents(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """Standings as JSON holds them."""
    return [asdict(standing) for standing in standings]


def board(standings: Sequence[Mapping[str, Any]], *, rank_by: str, title: str) -> Table:
    """The leaderboard as a table; `standings` are documents, best first."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    table.add_column("rank", justify="right")
    table.add_column("model")
    windows = list(standings[0]["scores"]) if standings else []
    for window in windows:
        table.add_column(f"{window} ▾" if window == rank_by else window, justify="right")
    table.add_column("coverage", justify="right")
    for standing in standings:
        scores = ["-" if standing["scores"][w] is None else f"{standing['scores'][w]:.6g}" for w in windows]
        coverage = f"{standing['coverage']:.1%}"
        table.add_row(str(standing["rank"]), escape(standing["model_id"]), *scores, coverage)
    return table


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
