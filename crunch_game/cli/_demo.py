"""Finds the demo game: in the installed package, or in the examples beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import crunch_game
from crunch_game.cli._references import game_at
from crunch_game.errors import ResourceError
from crunch_game.game import Game


def demo_game() -> Game:
    """Import the demo game.

    Raises:
        ResourceError: It is not installed.
    """
    sys.path.insert(0, str(_folder()))
    return game_at("daily_density.game:game")


def demo_models() -> Path:
    """Return the folder of its models."""
    return _folder() / "daily_density" / "models"


def _folder() -> Path:
    package = Path(crunch_game.__file__).parent
    for folder in (package / "examples" / "daily_density", package.parent / "examples" / "daily_density"):
        if folder.is_dir():
            return folder
    raise ResourceError("the demo game is not installed; reinstall crunch-game")
