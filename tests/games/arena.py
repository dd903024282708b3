"""An author's base class, as a module that models' processes import."""

from __future__ import annotations

from typing import Any


class Base:
    """A game with one method that every model must have."""

    def tick(self, data: Any = None):
        return None

    def predict(self, number: int) -> Any:
        raise NotImplementedError

    def measure(self, number: int = 0) -> float:
        return 0.0

    def take(self, *args: Any, **kwargs: Any):
        return None
