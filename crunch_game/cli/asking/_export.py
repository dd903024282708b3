"""`crunch-game export`: what a store has as a file, for whatever else looks at it."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final, cast, get_args

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from crunch_game._quantities import counted
from crunch_game.cli import _output as output
from crunch_game.cli._output import AsJson
from crunch_game.cli.asking._shown import time_of
from crunch_game.errors import UsageError
from crunch_game.storage import export as export_to
from crunch_game.storage import open_store
from crunch_game.storage.exporting import FORMATS, What

_WHATS = get_args(What)
_MOST_NAMED: Final = 20


def export(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Where the game is kept: sqlite:///game.db")],
    out: Annotated[Path, typer.Option("--out", help="The file; or a folder, in which it gets its name.")],
    format: Annotated[  # noqa: A002
        str | None, typer.Option("--format", help=f"{', '.join(FORMATS)}; unless given, as the file's name ends.")
    ] = None,
    what: Annotated[str, typer.Option("--what", help=", ".join(_WHATS))] = "predictions",
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="Only what resolves then or later: 2024-01-31, with a time too, or 7d: so long"
            " before the newest row. UTC unless it says another zone.",
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Only what resolves before this.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only what is of this model.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Only what is of this key.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write predictions with their scores, or other records, to a Parquet, CSV or JSON lines file."""
    with open_store(store, create=False) as opened:
        _check_known("model", model, [each.model_id for each in opened.models()])
        _check_known("key", key, opened.last_rounds())
        newest = opened.last_row()
        now = datetime.now(UTC) if newest is None else newest.time
        start, end = (
            None if text is None else time_of(text, now, option)
            for text, option in ((since, "--since"), (until, "--until"))
        )
        if start is not None and end is not None and end <= start:
            raise UsageError(f"nothing is between --since {since} and --until {until}")
        console = Console(stderr=True)
        bar = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
        )
        task = bar.add_task(what)

        def show(records: int, time: datetime | None) -> None:
            reached = "" if time is None else f", up to {time:%Y-%m-%d %H:%M} UTC"
            bar.update(task, description=f"{counted(records, what[:-1])}{reached}")

        wanted = cast(What, what)  # else it says which there are
        with bar if console.is_terminal and not as_json else nullcontext():
            done = export_to(opened, out, wanted, start, end, format=format, model_id=model, key=key, on_progress=show)
    if as_json:
        output.print_json({"file": str(done.path), "what": done.what, "records": done.records})
    else:
        written = counted(done.records, what[:-1])
        output.screen.print(f"{written}: [bold]{output.escape(str(done.path))}[/]", soft_wrap=True)


def _check_known(what: str, given: str | None, known: list[str] | dict[str, datetime]) -> None:
    """Refuse a name that the store does not know: a file without a record would not tell that it is misspelled."""
    if given is not None and given not in known:
        named, more = sorted(known)[:_MOST_NAMED], len(known) - _MOST_NAMED
        listed = "; ".join([*named, *([f"and {more:,} more"] if more > 0 else [])])
        raise UsageError(f"the store has no {what} {given!r}; it has {listed or 'none yet'}")
