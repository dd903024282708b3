"""What the commands that ask a store share: times as people write them, and as they read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.table import Table

from crunch_game._quantities import seconds
from crunch_game.cli._output import escape, screen
from crunch_game.errors import UsageError


def time_of(given: str, end: datetime, option: str) -> datetime:
    """The time that a duration before `end` is, or a date or time, which is UTC unless it says otherwise."""
    try:
        time = datetime.fromisoformat(given)
    except ValueError:
        pass
    else:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    if not given[:1].isdigit():
        raise UsageError(f'{option} {given!r} is neither a duration ("1d", "90s") nor a time ("2024-03-05 12:00")')
    return end - timedelta(seconds=seconds(given, option))


def minute(time: datetime | str | None) -> str:
    """A time for people, UTC; it may be a document's."""
    return "-" if time is None else str(time)[:16].replace("T", " ")


def plain_table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))


def line(text: str) -> None:
    screen.print(escape(text), soft_wrap=True)


def event_line(document: Mapping[str, Any]) -> str:
    return f"{str(document['moment'])[:19].replace('T', ' ')}  {document['text']}"
