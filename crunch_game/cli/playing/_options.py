"""What the commands that play a game share: options, and what is looked at before anything is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import anyio
import typer

from crunch_game._quantities import described
from crunch_game.cli import _output as output
from crunch_game.cli._printed import logging_host
from crunch_game.cli._serving import interrupted, make_logs
from crunch_game.errors import UsageError
from crunch_game.feeds.base import Feed
from crunch_game.game import Game
from crunch_game.hosts.base import Host
from crunch_game.rosters import DirectoryRoster
from crunch_game.workers import beside

ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Where rules are called: none, threads:N, processes:N, dask://HOST:8786; auto: processes for slow ones.",
    ),
]
GameRef = Annotated[str, typer.Argument(metavar="GAME", help="package.module:game, or a file that has a `game`.")]
ModelsDir = Annotated[Path, typer.Option("--models", help="The folder of submissions; it is watched.")]
Logs = Annotated[
    Path | None, typer.Option("--logs", help="The folder for what models print: ID.out.log and ID.err.log.")
]
EventsFile = Annotated[
    Path | None, typer.Option("--events", help="Append every event to this file, a JSON document on each line.")
]
MaxTicks = Annotated[int | None, typer.Option("--max-ticks", min=0, help="Stop after that many rows.")]
SharedStoreUrl = Annotated[
    str, typer.Option("--store", help="The database of both workers, for example sqlite:///game.db")
]

_ResultT = TypeVar("_ResultT")


@dataclass(frozen=True)
class Playing:
    """A game that can be played: its first row was checked.

    Attributes:
        game: The game.
        roster: The folder of its submissions.
        feed: The rows.
        host: Where its models run; None is the game's own.
        is_empty: Whether there are no submissions yet.
        total: How many rows will be played; None if that is not known.
    """

    game: Game
    roster: DirectoryRoster
    feed: Feed
    host: Host | None
    is_empty: bool
    total: int | None


def prepared(game: Game, models: Path, feed: Feed | None, max_ticks: int | None, logs: Path | None) -> Playing:
    """Look at all that a game is played with, before anything is written: one that cannot be played leaves no file.

    Raises:
        UsageError: It has no feed, or its models do not run in processes whose logs could be kept.
        ResourceError: The folder for logs cannot be made.
        GameError: It cannot play its first row.
    """
    host = _logging_host(game, logs)
    roster = DirectoryRoster(models)
    empty = not roster.scan()
    chosen = game.feed if feed is None else feed
    if chosen is None:
        raise UsageError(f"the game {game.name} has no feed of its own; give history with --replay FILE")
    anyio.run(_check_first_row, game, chosen)
    known = [count for count in (_length(chosen), max_ticks) if count is not None]
    return Playing(game, roster, chosen, host, empty, min(known, default=None))


def warn_if_empty(playing: Playing, models: Path) -> None:
    """Warn of a folder without submissions."""
    if playing.is_empty:
        output.warn(f"no submissions in {models} yet")


def shared(url: str, who: str) -> str:
    """The URL of a store that another process can open.

    Raises:
        UsageError: It is one in memory.
    """
    if url.startswith("memory:"):
        raise UsageError(
            f"--store {url} ends with the command; {who} worker shares its store with another process: give a "
            "database, for example sqlite:///game.db"
        )
    return url


async def until_interrupted(
    work: Callable[[Callable[[Any], None]], Awaitable[_ResultT]],
) -> _ResultT:
    """Await the work, and stop its worker in an orderly way on Ctrl-C or SIGTERM: what is in hand is stored.

    Args:
        work: Is given a function that it calls with the worker, which has a `stop()`.
    """
    workers: list[Any] = []

    async def stop_on_signal() -> None:
        await interrupted()
        for worker in workers:
            worker.stop()

    async with beside(stop_on_signal):
        return await work(workers.append)


def _logging_host(game: Game, logs: Path | None) -> Host | None:
    """The game's host, writing what models print to the folder; None where none is given.

    Raises:
        UsageError: Its models do not run in processes of this machine.
        ResourceError: The folder cannot be made.
    """
    if logs is None:
        return None
    host = logging_host(game, logs)
    if host is None:
        raise UsageError(
            f"--logs keeps what models print in processes of their own; the game {game.name} says "
            f"host={described(game.host)}, so it goes wherever that lets them print"
        )
    make_logs(logs)
    return host


async def _check_first_row(game: Game, feed: Any) -> None:
    """Check that the game can play the feed's first row, before anything is written."""
    if not feed.live and _length(feed) is not None:  # without a length it may be an iterator, which can be read once
        rows = feed.rows()
        async with aclosing(rows):
            async for row in rows:
                game.check(row)
                break


def _length(feed: Any) -> int | None:
    """Return how many rows the feed has, if it has a length."""
    try:
        return len(feed)
    except TypeError:
        return None
