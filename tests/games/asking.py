"""The base class of a game that asks with three required arguments, and with one that came later."""

from __future__ import annotations


class Base:
    def tick(self, prices: dict[str, float]) -> None:
        """By default it is ignored."""

    def predict(self, asset: str, horizon: int, step: int, seed: int = 0) -> list[object]: ...


class Telling(Base):
    """It must be told."""

    def tick(self, prices: dict[str, float]) -> None: ...
