"""Scoring rules: one round's answers and the truth, as arrays, become one number for each answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.scoring.rules._densities import CRPS as CRPS
    from crunch_game.scoring.rules._densities import LogScore as LogScore
    from crunch_game.scoring.rules._price_paths import sample_paths as sample_paths
    from crunch_game.scoring.rules._price_paths import volatility_crps as volatility_crps
    from crunch_game.scoring.rules._sum import MedianRatio as MedianRatio
    from crunch_game.scoring.rules._sum import Sum as Sum
    from crunch_game.scoring.rules._volatility import VolatilityCRPS as VolatilityCRPS
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
