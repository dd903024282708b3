"""The commands that ask a store what happened. They only read, and from any machine that reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.cli.asking._events import events as events
    from crunch_game.cli.asking._export import export as export
    from crunch_game.cli.asking._leaderboard import corrections as corrections
    from crunch_game.cli.asking._leaderboard import leaderboard as leaderboard
    from crunch_game.cli.asking._models import model as model
    from crunch_game.cli.asking._models import models as models
    from crunch_game.cli.asking._shown import minute as minute
    from crunch_game.cli.asking._shown import time_of as time_of
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
