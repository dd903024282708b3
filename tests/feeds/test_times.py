"""Times of files and tables: what is unmistakable is read, and nothing becomes January 1970 without a word."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.errors import FeedError
from crunch_game.feeds._times import Times

HOW = "write ISO 8601 (2024-01-31 or 2024-01-31T09:30:00Z) or epoch seconds"


def refusal(*values: object) -> str:
    """The sentence for the last of these values, in a column of them."""
    times = Times()
    for value in values[:-1]:
        times.read(value, "before")
    with pytest.raises(FeedError) as caught:
        times.read(values[-1], "here")
    return str(caught.value)


@pytest.mark.parametrize("kind", [int, str, float, Decimal, np.int64, lambda number: f" {number}.0 "])
@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (2001, datetime(2001, 1, 1, tzinfo=UTC)),
        (2100, datetime(2100, 1, 1, tzinfo=UTC)),
        (202401, datetime(2024, 1, 1, tzinfo=UTC)),
        (20240131, datetime(2024, 1, 31, tzinfo=UTC)),
        (202401310930, datetime(2024, 1, 31, 9, 30, tzinfo=UTC)),
        (20240131093015, datetime(2024, 1, 31, 9, 30, 15, tzinfo=UTC)),
        (1704153600, datetime(2024, 1, 2, tzinfo=UTC)),
        (1704153600250, datetime(2024, 1, 2, 0, 0, 0, 250_000, UTC)),
        (1704153600250125, datetime(2024, 1, 2, 0, 0, 0, 250_125, UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-86400, datetime(1969, 12, 31, tzinfo=UTC)),
    ],
)
def test_a_number_is_read_as_what_it_unmistakably_is(kind, number, moment):
    assert Times().read(kind(number), "here") == moment


def test_nanoseconds_are_cut_to_microseconds():
    assert Times().read(1704153600_000_001_999, "here") == datetime(2024, 1, 2, 0, 0, 0, 1, UTC)


def test_a_month_of_a_statistics_office_is_its_first_day():
    assert Times().read(" 2024-02 ", "here") == datetime(2024, 2, 1, tzinfo=UTC)


def test_a_clock_that_begins_at_zero_stays_one_of_seconds():
    """1900 and 202401 are dates only where the first number is one."""
    times = Times()

    assert [times.read(second, "here").timestamp() for second in (0, 60, 1900, 202401, 20240131)] == [
        0,
        60,
        1900,
        202401,
        20240131,
    ]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            [202413],
            f"the time 202413 is not readable: it looks like a date without dashes, but there is none such; {HOW}",
        ),
        (
            ["20240230"],
            f"the time 20240230 is not readable: it looks like a date without dashes, but there is none such; {HOW}",
        ),
        (
            [2024013109],
            "the time 2024013109 may be 2024-01-31 09 h or, in epoch seconds, 2034-02-20; "
            "write ISO 8601, such as 2024-01-31T09:00Z",
        ),
        ([2001, 2101], f"the time 2101 is not readable: it is no date of 4 digits, as those before; {HOW}"),
        ([20240131, 202402], f"the time 202402 is not readable: it is no date of 8 digits, as those before; {HOW}"),
        ([2001, 2001.5], f"the time 2001.5 is not readable: it is no date of 4 digits, as those before; {HOW}"),
        ([10**10], f"the time 10000000000 is not readable: in seconds since 1970 it is of the year 2286; {HOW}"),
        (
            [0, 1704153600000],
            f"the time 1704153600000 is not readable; {HOW}",
        ),
        (
            [1704153600, 17041536000],
            f"the time 17041536000 is not readable: in seconds since 1970 it is of the year 2510; {HOW}",
        ),
        ([pd.NaT], f"the time NaT is not readable; {HOW}"),
        (["1_000"], f"the time '1_000' is not readable; {HOW}"),
    ],
)
def test_what_is_not_certain_is_refused_with_a_sentence(values, sentence):
    assert refusal(*values) == f"here: {sentence}"


SINCE_1974 = st.datetimes(datetime(1974, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(SINCE_1974, st.sampled_from([0, 3, 6, 9]))
def test_a_whole_number_of_any_unit_since_1970_is_that_moment(moment, digits):
    """But for one second in hundreds from 2030 on, which might be a date and an hour, and as many of 1976."""
    moment = moment.replace(microsecond=0)
    number = int(moment.timestamp()) * 10**digits

    if digits == 0 and moment.year >= 2030 and is_hour(str(number)):
        assert " may be " in refusal(number)
    elif digits == 3 and moment.year == 1976 and is_minute(str(number)):
        assert Times().read(number, "here").strftime("%Y%m%d%H%M") == str(number)
    else:
        assert Times().read(number, "here") == moment


def is_hour(text: str) -> bool:
    return is_date(text, 10, "%Y%m%d%H")


def is_minute(text: str) -> bool:
    return is_date(text, 12, "%Y%m%d%H%M")


def is_date(text: str, length: int, how: str) -> bool:
    try:
        return len(text) == length and datetime.strptime(text, how).year <= 2100  # noqa: DTZ007
    except ValueError:
        return False


def test_a_number_that_is_an_hour_and_a_second_is_known():
    assert is_hour("2024013109")
    assert not is_hour("1704153600")


@given(st.datetimes(datetime(1900, 1, 1), datetime(2100, 12, 31)), st.sampled_from(["%Y%m%d", "%Y%m%d%H%M%S"]))  # noqa: DTZ001
def test_a_date_without_dashes_is_that_date(moment, written):
    text = moment.strftime(written)

    assert Times().read(text, "here") == datetime.strptime(text, written).replace(tzinfo=UTC)
