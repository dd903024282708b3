"""Scoring rules: one round's answers and the truth, as arrays, become one number for each answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.scoring.rules._base import StepwiseRule as StepwiseRule
    from crunch_game.scoring.rules._crps import CRPS as CRPS
    from crunch_game.scoring.rules._draws import Energy as Energy
    from crunch_game.scoring.rules._events import Brier as Brier
    from crunch_game.scoring.rules._events import RankedProbability as RankedProbability
    from crunch_game.scoring.rules._likelihood import Likelihood as Likelihood
    from crunch_game.scoring.rules._logarithmic import LogScore as LogScore
    from crunch_game.scoring.rules._points import AbsoluteError as AbsoluteError
    from crunch_game.scoring.rules._points import SquaredError as SquaredError
    from crunch_game.scoring.rules._quantiles import Pinball as Pinball
    from crunch_game.scoring.rules._quantiles import WeightedInterval as WeightedInterval
    from crunch_game.scoring.rules._sum import MedianRatio as MedianRatio
    from crunch_game.scoring.rules._sum import Sum as Sum
    from crunch_game.scoring.rules._volatility import VolatilityCRPS as VolatilityCRPS
    from crunch_game.scoring.rules.formulas import crps_normal_mixture as crps_normal_mixture
    from crunch_game.scoring.rules.formulas import sample_paths as sample_paths
    from crunch_game.scoring.rules.formulas import volatility_crps as volatility_crps
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
