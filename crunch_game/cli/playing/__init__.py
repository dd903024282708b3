"""The commands that play a game: both workers in one process, or one of them alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.cli.playing._predict import predict as predict
    from crunch_game.cli.playing._run import demo as demo
    from crunch_game.cli.playing._run import run as run
    from crunch_game.cli.playing._score import score as score
    from crunch_game.cli.playing._watch import Watch as Watch
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
