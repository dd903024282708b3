"""The zoo's game: how is the next price of an asset distributed, as a mean and a scale?"""

from __future__ import annotations

from typing import Any

from crunch_game import TrackerBase


class Tracker(TrackerBase):
    """Told every price, asked for the next one."""

    def tick(self, price: float) -> None:
        return None

    def predict(self, asset: str) -> dict[str, float]: ...

    def remark(self) -> Any:
        """Whatever a model would like to say; without a type."""
        return None
