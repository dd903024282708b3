"""The bundled prices are what DATA_LICENSE.md says they are."""

from __future__ import annotations

import gzip
import hashlib
import math
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import pairwise

import pytest

from crunch_game.datasets import daily_prices

SYMBOLS = {"AAPL", "GOOG", "IBM", "MSFT"}
FOLDER = resources.files("crunch_game.datasets")


def test_every_trading_day_is_there_once_and_in_order():
    times = [row.time for row in daily_prices()]

    assert len(times) == 3270
    assert times[0] == datetime(2000, 3, 1, tzinfo=UTC)
    assert times[-1] == datetime(2013, 3, 1, tzinfo=UTC)
    assert all(a < b for a, b in pairwise(times))
    assert max(b - a for a, b in pairwise(times)) <= timedelta(days=7)


def test_google_is_absent_before_its_first_trading_day_and_nothing_else_ever_is():
    listed = datetime(2004, 8, 19, tzinfo=UTC)

    for row in daily_prices():
        assert set(row.data) == (SYMBOLS if row.time >= listed else SYMBOLS - {"GOOG"})


def test_prices_are_positive_finite_floats():
    for row in daily_prices():
        for price in row.data.values():
            assert type(price) is float
            assert math.isfinite(price)
            assert price > 0


@pytest.mark.parametrize(
    ("symbol", "split_day"), [("AAPL", (2005, 2, 28)), ("MSFT", (2003, 2, 18)), ("AAPL", (2000, 6, 21))]
)
def test_a_split_does_not_look_like_a_return(symbol, split_day):
    rows = daily_prices()
    at = [row.time for row in rows].index(datetime(*split_day, tzinfo=UTC))

    assert abs(rows[at].data[symbol] / rows[at - 1].data[symbol] - 1) < 0.1


def test_no_daily_move_is_larger_than_sixty_percent():
    for earlier, later in pairwise(daily_prices()):
        for symbol, price in earlier.data.items():
            assert abs(later.data[symbol] / price - 1) < 0.6


def test_the_returned_rows_belong_to_the_caller():
    rows = daily_prices()
    rows[0].data.clear()
    rows.clear()

    assert daily_prices()[0].data == {"AAPL": 4.18666, "IBM": 73.6677, "MSFT": 30.2257}


def test_the_file_is_small_and_its_licence_names_its_exact_bytes():
    packed = FOLDER.joinpath("daily_prices.csv.gz").read_bytes()
    licence = FOLDER.joinpath("DATA_LICENSE.md").read_text(encoding="utf-8")

    assert len(packed) < 60_000
    assert packed[4:8] == b"\0\0\0\0", "gzip's modification time"
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() in licence
    assert "Public domain" in licence
