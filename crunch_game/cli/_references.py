"""From what a person types to a game, and to the history that it is played over."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from crunch_game.errors import CrunchGameError, GameError, UsageError
from crunch_game.faults import describe_exception
from crunch_game.feeds import ReplayFeed
from crunch_game.feeds.base import Feed
from crunch_game.game import Game
from crunch_game.sources import resolve

Replay = Annotated[Path | None, typer.Option("--replay", help="Play this CSV or Parquet file instead of the feed.")]


def game_at(reference: str) -> Game:
    """The game that "package.module:game" or a file's `game` is.

    Raises:
        UsageError: It is not written as a game is, or there is no such file.
        GameError: There is none in it, or importing it raised.
    """
    path = Path(reference.partition(":")[0])
    if path.suffix == ".py" or path.is_file():
        if not path.is_file():
            raise UsageError(f"there is no file {str(path)!r}")
        path = path.resolve()
        # Its imports are found as if it were run: from the first folder upwards that is no package.
        root = next(folder for folder in path.parents if not (folder / "__init__.py").exists())
        sys.path.insert(0, str(root))
        module = _module(".".join(path.relative_to(root).with_suffix("").parts))
        attribute = reference.partition(":")[2] or "game"
    elif ":" in reference:
        name, _, attribute = reference.partition(":")
        sys.path.insert(0, str(Path.cwd()))
        module = _module(name)
    else:
        raise UsageError(
            f"{reference!r} is no game: write package.module:game, or the path of a file that has a `game`"
        )
    found = getattr(module, attribute, None)
    if not isinstance(found, Game):
        what = "has no" if found is None else "has no Game called"
        raise GameError(f"{reference} {what} {attribute!r}; a game is: {attribute} = crunch_game.Game(...)")
    return found


def _module(name: str) -> Any:
    try:
        return resolve(name)
    except CrunchGameError:
        raise
    except (Exception, SystemExit) as error:
        raise GameError(f"importing {name} raised {describe_exception(error)}") from error


def replayed(file: Path | None) -> Feed | None:
    """The feed that plays the file; None where none is given."""
    return None if file is None else ReplayFeed(file)
