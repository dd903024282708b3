"""From an answer and the truth to a number: densities, scoring rules, and the leaderboard made of the scores.

`base` has the Protocol of a scorer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.scoring._densities import Component as Component
    from crunch_game.scoring._densities import Density as Density
    from crunch_game.scoring._densities import Mixture as Mixture
    from crunch_game.scoring._densities import Normal as Normal
    from crunch_game.scoring._densities import Scipy as Scipy
    from crunch_game.scoring._densities import as_normal_mixture as as_normal_mixture
    from crunch_game.scoring._densities import mixture as mixture
    from crunch_game.scoring._densities import normal as normal
    from crunch_game.scoring._leaderboard import Leaderboard as Leaderboard
    from crunch_game.scoring._leaderboard import Missing as Missing
    from crunch_game.scoring._leaderboard import Standing as Standing
    from crunch_game.scoring._rules import CRPS as CRPS
    from crunch_game.scoring._rules import LogScore as LogScore
    from crunch_game.scoring.base import BatchScorer as BatchScorer
    from crunch_game.scoring.base import ScoreFunction as ScoreFunction
    from crunch_game.scoring.base import Scorer as Scorer
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
