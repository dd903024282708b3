"""A game whose arguments are of other types than the wire knows; it imports neither pydantic nor numpy."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum


class Side(enum.Enum):
    BUY = "buy"
    SELL = "sell"


@dataclasses.dataclass(frozen=True)
class Trade:
    side: Side
    at: dt.datetime


class Base:
    def tick(self, trades: list[Trade], levels: dict[int, float]) -> None: ...

    def predict(
        self, day: dt.date, ahead: dt.timedelta, assets: tuple[str, ...] = (), seen: set[int] | None = None
    ) -> str: ...
