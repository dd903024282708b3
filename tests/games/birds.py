"""A base class as the games on CrunchDAO's network have it, as a module that model nodes import."""

from __future__ import annotations


class TrackerBase:
    """Where will the bird be?"""

    def __init__(self, horizon: int = 3):
        self.horizon = horizon

    def tick(self, payload: dict, performance: dict | None = None):
        pass

    def predict(self, asset: str = "dove", step: int = 1) -> float:
        raise NotImplementedError

    def describe(self) -> dict:
        return {}

    def measure(self, table):
        return None

    def anything(self, *args, **kwargs):
        return None
