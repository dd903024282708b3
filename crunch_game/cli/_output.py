"""The output of commands: tables and sentences for people, or one JSON document."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from contextvars import ContextVar
from datetime import datetime
from typing import Annotated, Any, NoReturn, TextIO

import typer
from rich import box
from rich.console import Console, Group
from rich.markup import escape as escape
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from crunch_game.errors import CrunchGameError, StoreUnavailable
from crunch_game.faults import describe_exception
from crunch_game.ranking import Standing, noted_standings, shown

screen = Console(highlight=False)
_stderr = Console(stderr=True, highlight=False, soft_wrap=True)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")]


class Commands(TyperGroup):
    """Commands that exit with 0, 1 for a finding, 2 for wrong usage, which is explained in a sentence, or 3.

    3 is for a database that does not read or write for now, though nothing is wrong with what was asked.

    With `--json`, stdout gets exactly one document, even of an error. Whatever else is printed goes to stderr.
    """

    def main(self, args: Sequence[str] | None = None, *positional: Any, **options: Any) -> Any:
        """Run a command, and exit."""
        # --json is looked for here, since an error may occur before options are parsed.
        args = sys.argv[1:] if args is None else list(args)
        as_json = "--json" in args
        try:
            with _only_documents() if as_json else nullcontext():
                options["standalone_mode"] = options.get("standalone_mode", True) and not as_json
                sys.exit(super().main(args, *positional, **options) or 0)
        except CrunchGameError as error:
            _fail(str(error), as_json=as_json, code=3 if isinstance(error, StoreUnavailable) else 2)
        except _UsageError as error:
            _fail(error.format_message(), as_json=as_json)
        except Exception as error:
            if not as_json:
                raise
            traceback.print_exc()  # an author's code raised: the document says what, stderr where
            _fail(describe_exception(error), as_json=True)


def print_json(document: Mapping[str, Any]) -> None:
    """Write the document to stdout."""

    def to_text(value: Any) -> str:
        return value.isoformat() if isinstance(value, datetime) else str(value)

    (_stdout.get() or sys.stdout).write(json.dumps(document, indent=2, default=to_text) + "\n")


def print_line(document: Mapping[str, Any]) -> None:
    """Write the document to stdout as one line, at once."""
    stdout = _stdout.get() or sys.stdout
    stdout.write(json.dumps(document) + "\n")
    stdout.flush()


@contextmanager
def _only_documents() -> Iterator[None]:
    """Reserve stdout for `print_json`. What an author's code prints goes to stderr."""
    token = _stdout.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _stdout.reset(token)


_stdout: ContextVar[TextIO | None] = ContextVar("stdout", default=None)
_UsageError: Any = typer.BadParameter.__base__  # in click or in typer, which depends on typer's version


def _fail(message: str, *, as_json: bool, code: int = 2) -> NoReturn:
    """Print an error, and exit with the code."""
    if as_json:
        print_json({"error": message})
    else:
        _stderr.print(f"[red]error:[/] {escape(message)}")
    sys.exit(code)


def warn(message: str) -> None:
    """Print a warning on stderr."""
    _stderr.print(message, style="yellow", markup=False)


def board(standings: Sequence[Standing], *, rank_by: str, title: str, legend: str | None) -> Group:
    """Return a board as a table, without the scores of each key where the screen has no room for them."""
    table = _board(standings, rank_by, title, by_key=True)
    wanted = screen.measure(table, options=screen.options.update(max_width=10_000)).maximum
    if wanted > screen.width:
        table = _board(standings, rank_by, title, by_key=False)
    # As a caption of the table it would be as narrow.
    return Group(table, *([] if legend is None else [Text(legend, style="dim italic")]))


def _board(standings: Sequence[Standing], rank_by: str, title: str, *, by_key: bool) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    head, *rows = shown(standings, rank_by, by_key=by_key)
    for name in head:
        table.add_column(escape(name), justify="left" if name in ("model", "marks") else "right")
    for standing, row in zip(standings, rows, strict=True):
        table.add_row(*map(escape, row), style="dim" if standing.rank is None else None)
    return table


def boards(document: Mapping[str, Mapping[str, Any]], title: str) -> Iterator[Group]:
    """Yield every board of a game, from the document that its store has."""
    for name, each in document.items():
        standings = noted_standings(each["leaderboard"])
        heading = title if len(document) == 1 else f"{title}: {name}"
        yield board(standings, rank_by=each["rank_by"], title=heading, legend=each.get("legend"))
