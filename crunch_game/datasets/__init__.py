"""A small price history in the public domain, so that examples run offline."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime
from functools import cache
from importlib import resources

from crunch_game.feeds.base import Row

__all__ = ["daily_prices"]


def daily_prices() -> list[Row]:
    """Real daily prices of AAPL, GOOG, IBM and MSFT: 3270 trading days, 2000-03-01 to 2013-03-01.

    The prices are adjusted closes in US dollars: splits and dividends are divided out, so that changes are what an
    owner has earned. DATA_LICENSE.md, beside this file, states their origin.

    Returns:
        One Row per trading day, in order. `time` is the date at 00:00 UTC, `data` is {symbol: price}. GOOG is absent
        before its first trading day, 2004-08-19. The caller may change the list and the data.
    """
    return [Row(row.time, dict(row.data)) for row in _rows()]


@cache
def _rows() -> tuple[Row, ...]:
    packed = resources.files(__name__).joinpath("daily_prices.csv.gz").read_bytes()
    table = csv.DictReader(gzip.decompress(packed).decode().splitlines())
    return tuple(
        Row(
            datetime.fromisoformat(line.pop("date")).replace(tzinfo=UTC),
            {symbol: float(price) for symbol, price in line.items() if price},
        )
        for line in table
    )
