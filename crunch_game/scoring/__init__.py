"""How predictions are scored and ranked; names are resolved on first use, so that importing is light."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crunch_game.scoring.base import BatchScorer, ScoreFunction, Scorer
    from crunch_game.scoring.densities import (
        Component,
        Density,
        Mixture,
        Normal,
        Scipy,
        as_normal_mixture,
        mixture,
        normal,
    )
    from crunch_game.scoring.leaderboard import Leaderboard, Missing, Standing
    from crunch_game.scoring.rules import CRPS, LogScore

__all__ = [
    "CRPS",
    "BatchScorer",
    "Component",
    "Density",
    "Leaderboard",
    "LogScore",
    "Missing",
    "Mixture",
    "Normal",
    "Scipy",
    "ScoreFunction",
    "Scorer",
    "Standing",
    "as_normal_mixture",
    "mixture",
    "normal",
]

_HOMES = {
    "CRPS": "rules",
    "BatchScorer": "base",
    "Component": "densities",
    "Density": "densities",
    "Leaderboard": "leaderboard",
    "LogScore": "rules",
    "Missing": "leaderboard",
    "Mixture": "densities",
    "Normal": "densities",
    "Scipy": "densities",
    "ScoreFunction": "base",
    "Scorer": "base",
    "Standing": "leaderboard",
    "as_normal_mixture": "densities",
    "mixture": "densities",
    "normal": "densities",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
