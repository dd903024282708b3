"""How predictions are scored and ranked. Names are imported on first use: model processes need only densities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game.public import lazy_face

if TYPE_CHECKING:
    from crunch_game.scoring.base import BatchScorer as BatchScorer
    from crunch_game.scoring.base import ScoreFunction as ScoreFunction
    from crunch_game.scoring.base import Scorer as Scorer
    from crunch_game.scoring.densities import Component as Component
    from crunch_game.scoring.densities import Density as Density
    from crunch_game.scoring.densities import Mixture as Mixture
    from crunch_game.scoring.densities import Normal as Normal
    from crunch_game.scoring.densities import Scipy as Scipy
    from crunch_game.scoring.densities import as_normal_mixture as as_normal_mixture
    from crunch_game.scoring.densities import mixture as mixture
    from crunch_game.scoring.densities import normal as normal
    from crunch_game.scoring.leaderboard import Leaderboard as Leaderboard
    from crunch_game.scoring.leaderboard import Missing as Missing
    from crunch_game.scoring.leaderboard import Standing as Standing
    from crunch_game.scoring.rules import CRPS as CRPS
    from crunch_game.scoring.rules import LogScore as LogScore
else:
    __getattr__, __dir__, __all__ = lazy_face(
        __name__,
        {
            "base": "BatchScorer ScoreFunction Scorer",
            "densities": "Component Density Mixture Normal Scipy as_normal_mixture mixture normal",
            "leaderboard": "Leaderboard Missing Standing",
            "rules": "CRPS LogScore",
        },
    )
