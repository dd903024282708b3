"""The commands that correct what is kept of a game. They append to its record, and its workers carry it out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.cli.correcting._prune import prune as prune
    from crunch_game.cli.correcting._rounds import rescore as rescore
    from crunch_game.cli.correcting._rounds import resolve as resolve
    from crunch_game.cli.correcting._rounds import restore as restore
    from crunch_game.cli.correcting._rounds import retract as retract
    from crunch_game.cli.correcting._rounds import void as void
    from crunch_game.cli.correcting._stop import readmit as readmit
    from crunch_game.cli.correcting._stop import stop as stop
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
