"""The game "daily-density": forecast the density of a stock's next daily return."""

from __future__ import annotations

from pathlib import Path

import crunch_game
from crunch_game.scoring import Density, mixture, normal

__all__ = ["ASSETS", "EXAMPLES", "Density", "TrackerBase", "mixture", "normal"]

ASSETS = ("AAPL", "IBM", "MSFT")

EXAMPLES = Path(__file__).parent / "models"
"""The folder of the example trackers: four benchmarks to beat, and one that is faulty on purpose."""


class TrackerBase(crunch_game.TrackerBase):
    """Forecast the density of the next log return of each asset. Subclass this to take part."""

    def tick(self, prices: dict[str, float]) -> None:
        """Take in the day's closing prices, in dollars, by asset."""
        ...

    def predict(self, asset: str, horizon: int, step: int) -> list[Density]:
        """The densities of the log return over each step up to the horizon (both in seconds): one for each."""
        ...
