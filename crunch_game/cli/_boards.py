"""`crunch-game copies`: whose answers are those of another; and how a store is named."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from crunch_game._quantities import seconds
from crunch_game.cli import _output as output
from crunch_game.cli._output import AsJson
from crunch_game.ranking import Copy, find_copies
from crunch_game.storage import open_store

StoreUrl = Annotated[str, typer.Option("--store", help="Where the game is kept, for example sqlite:///game.db")]


def copies(
    store: StoreUrl,
    window: Annotated[str, typer.Option("--window", help="How far back, on the game's clock.")] = "7d",
    share: Annotated[float, typer.Option("--share", help="In which share of the rounds two models are near.")] = 0.9,
    tolerance: Annotated[float, typer.Option("--tolerance", help="How near, in a model's usual moves.")] = 1e-4,
    as_json: AsJson = False,
) -> None:
    """Name models whose answers are those of another, or nearly so, and who was first."""
    length = timedelta(seconds=seconds(window, "--window"))
    with open_store(store, create=False) as opened:
        newest = opened.last_row()
        predictions = [] if newest is None else opened.predictions(newest.time - length)
        boards = (opened.noted("leaderboard") or {}).get("boards", {})
    standings = [standing for board in boards.values() for standing in board["leaderboard"]]
    benchmarks = sorted({each["model_id"] for each in standings if "benchmark" in each["marks"]})
    found = find_copies(predictions, share=share, tolerance=tolerance, benchmarks=benchmarks)
    if as_json:
        output.print_json({"copies": [asdict(copy) for copy in found]})
    elif found:
        output.screen.print(_table(found))
    else:
        output.screen.print(
            f"no model answers as another does, in the last {window} of this game; models that share fewer than ten "
            "different answers are not compared: a longer --window has more",
            soft_wrap=True,
        )


def _table(found: list[Copy]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    columns: dict[str, Any] = {"model": "left", "answers as": "left", "rounds": "right", "share": "right"}
    for name, side in (columns | {"apart": "right", "late": "right", "since": "left"}).items():
        table.add_column(name, justify=side)
    for copy in found:
        apart = "equal" if copy.distance == 0 else f"{copy.distance:.2g} moves"
        late = "-" if not copy.late else f"{copy.late} slot"
        cells = (
            copy.model_id,
            copy.of,
            str(copy.rounds),
            f"{copy.share:.0%}",
            apart,
            late,
            f"{copy.since:%Y-%m-%d %H:%M}",
        )
        table.add_row(*map(output.escape, cells))
    return table
