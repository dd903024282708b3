"""Predictions and rows of one morning, by the minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from crunch_game import History, Prediction, Row

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def minute(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def asked(horizon: float = 10, **arguments: Any) -> Prediction:
    """A prediction of noon; its horizon in minutes."""
    return Prediction(
        model_id="ada",
        deployment_id="1",
        key="predict",
        at=NOON,
        resolves_at=minute(horizon),
        horizon=horizon * 60,
        arguments={"asset": "BTC", **arguments},
    )


def history(prices: dict[float, Any], *more: Row) -> History:
    """BTC's price by the minute after noon. What is no number is a row without one."""
    found = History()
    for number, price in sorted(prices.items()):
        found.insert(Row(minute(number), {"ETH": 5.0, **({} if price is None else {"BTC": price})}))
    for row in more:
        found.insert(row)
    return found
