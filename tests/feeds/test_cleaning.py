"""Rows are cleaned alike, whatever feed they come from: times in UTC, values that JSON has, one notion of a number."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.errors import FeedError
from crunch_game.feeds import Cleaner, ReplayFeed, cleaned
from crunch_game.feeds.base import FeedEvent, Row, ValueDropped

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


class Side(Enum):
    BUY = "buy"


class Moment(datetime):
    """As that of a library for dates."""


INFINITE = [
    math.inf,
    -math.inf,
    np.float32("inf"),
    np.float64("-inf"),
    Decimal("Infinity"),
    "inf",
    " -Infinity",
    "1e999",
    "-1e999",
    [1.0, math.inf],
    np.array([math.inf]),
]
MISSING = [
    None,
    math.nan,
    np.float32("nan"),
    Decimal("nan"),
    Decimal("sNaN"),
    "nan",
    "NaN",
    "",
    "  ",
    pd.NaT,
    pd.NA,
    np.ma.masked,
    np.datetime64("NaT"),
]
PLAIN = [
    (1, 1),
    (True, True),
    ("text", "text"),
    ("1.5", "1.5"),
    ("1_000", "1_000"),
    (1.5, 1.5),
    (np.float32(1.5), 1.5),
    (np.int64(3), 3),
    (np.bool_(True), True),
    (np.str_("text"), "text"),
    (np.longdouble(2), 2.0),
    (Decimal("1.5"), 1.5),
    (Fraction(1, 2), 0.5),
    (Side.BUY, "buy"),
    (date(2024, 1, 1), "2024-01-01"),
    (NOON, "2024-01-01T12:00:00+00:00"),
    (pd.Timestamp(NOON), "2024-01-01T12:00:00+00:00"),
    (np.datetime64("2024-01-01", "ns"), "2024-01-01T00:00:00"),
    (time(12, 30), "12:30:00"),
    (timedelta(minutes=1), 60.0),
    (pd.Timedelta(minutes=1), 60.0),
    ((1, [Decimal(2), math.nan]), [1, [2.0, None]]),
    ({1: np.float64(2), "b": {"c": None}}, {"1": 2.0, "b": {"c": None}}),
    (np.array([[1, 2]]), [[1, 2]]),
    (np.array(["2024-01-01"], dtype="M8[ns]"), ["2024-01-01T00:00:00"]),
    (pd.Series([1, 2]), [1, 2]),
]


def price_of(value: object) -> float | None:
    return Row(NOON, {"BTC": value}).prices.get("BTC")


@pytest.mark.parametrize(("value", "plain"), PLAIN, ids=repr)
def test_a_value_becomes_what_json_has_in_every_feed(value, plain):
    kept = [cleaned(Row(NOON, {"a": value})), Cleaner().clean(Row(NOON, {"a": value}))]

    for row in kept:
        assert row == Row(NOON, {"a": plain})
        assert type(row.data["a"]) is type(plain)
        assert json.loads(json.dumps(row.data)) == row.data
    assert cleaned(kept[0]) == kept[0]


@pytest.mark.parametrize("value", MISSING, ids=repr)
def test_a_missing_value_is_missing_whatever_says_so(value):
    """Live it is told; in a history, gaps are as usual."""
    events: list[FeedEvent] = []

    assert Cleaner(events.append).clean(Row(NOON, {"a": value, "b": 1})) == Row(NOON, {"b": 1})
    assert cleaned(Row(NOON, {"a": value, "b": 1})) == Row(NOON, {"b": 1})
    assert events == [ValueDropped("a", f"it is missing ({value!r})", NOON)]
    assert price_of(value) is None


@pytest.mark.parametrize("value", INFINITE, ids=repr)
def test_infinity_is_infinity_whatever_says_so(value):
    """Live it is left out and told; in a history it is an error."""
    events: list[FeedEvent] = []

    assert Cleaner(events.append).clean(Row(NOON, {"a": value, "b": 1})) == Row(NOON, {"b": 1})
    sign = "-" if "-" in str(value) else ""
    reason = f"{sign}inf; a value must be finite, or left out"
    assert events == [ValueDropped("a", f"it is {reason}", NOON)]
    with pytest.raises(FeedError) as caught:
        cleaned(Row(NOON, {"a": value, "b": 1}))
    assert str(caught.value) == f"the row of 2024-01-01 12:00:00+00:00: a is {reason}"
    with pytest.raises(FeedError) as caught:
        ReplayFeed([{"time": NOON, "a": value}])
    assert str(caught.value) == f"row 0: a is {reason}"
    assert price_of(value) is None


@pytest.mark.parametrize("value", [{1}, b"x", 1j, object, pd.DataFrame({"a": [1]})], ids=repr)
def test_what_json_has_no_form_for_is_told(value):
    events: list[FeedEvent] = []
    kind = type(value).__name__
    reason = f"a {kind}, which JSON does not have; give a number, text, a list or a dict"

    assert Cleaner(events.append).clean(Row(NOON, {"a": value, "b": 1})) == Row(NOON, {"b": 1})
    assert events == [ValueDropped("a", f"it is {reason}", NOON)]
    with pytest.raises(FeedError) as caught:
        cleaned(Row(NOON, {"a": value}))
    assert str(caught.value) == f"the row of 2024-01-01 12:00:00+00:00: a is {reason}"
    assert price_of(value) is None


def test_a_value_that_holds_itself_is_told():
    around: list[object] = []
    around.append(around)

    with pytest.raises(FeedError, match="a is nested too deeply for JSON, or holds itself"):
        cleaned(Row(NOON, {"a": around}))


def test_what_is_left_out_is_told_once_a_kind():
    events: list[ValueDropped] = []
    cleaner = Cleaner(events.append)

    for second in range(100):
        moment = NOON + timedelta(seconds=second)
        cleaner.clean(Row(moment, {"BTC": None, "ETH": math.nan, "SOL": math.inf if second % 2 else None}))

    assert [(event.name, event.time.second) for event in events] == [("BTC", 0), ("ETH", 0), ("SOL", 0), ("SOL", 1)]
    assert str(events[0]) == "BTC was left out of the row of 2024-01-01 12:00:00 UTC (told once): it is missing (None)"


@pytest.mark.parametrize(
    ("value", "price"),
    [
        (1, 1.0),
        (1.5, 1.5),
        ("63012.5", 63012.5),
        (" -1e3 ", -1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        (Decimal("0.1"), 0.1),
        (Fraction(1, 4), 0.25),
        (np.float32(0.5), 0.5),
        (np.int8(7), 7.0),
        (np.array(2.5), 2.5),
    ],
    ids=repr,
)
def test_a_price_is_a_number_however_it_is_given(value, price):
    """As the JSON of an exchange, which writes prices as text, and a database's decimals."""
    assert price_of(value) == price
    assert type(price_of(value)) is float
    assert cleaned(Row(NOON, {"BTC": value})).prices == {"BTC": price}


@pytest.mark.parametrize(
    "value",
    [True, np.bool_(True), "1_000", "1,000", "0x10", "٣", "2024-01-01", "BTC", "1 2", "e5", ".", 10**400, [1.0], NOON],
    ids=repr,
)
def test_what_is_no_price(value):
    assert price_of(value) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_same_price_as_text_decimal_and_numpy(number):
    assert (
        price_of(number) == price_of(str(number)) == price_of(Decimal(number)) == price_of(np.float64(number)) == number
    )


@pytest.mark.parametrize(
    "moment",
    [
        NOON,
        NOON.astimezone(timezone(timedelta(hours=9))),
        pd.Timestamp(NOON),
        pd.Timestamp("2024-01-01T21:00:00.000000001", tz="Asia/Tokyo"),
        Moment(2024, 1, 1, 12, tzinfo=UTC),
        Moment(2024, 1, 1, 7, tzinfo=timezone(timedelta(hours=-5))),
    ],
    ids=repr,
)
def test_a_time_becomes_a_datetime_in_utc(moment):
    for row in (cleaned(Row(moment, {}, moment)), Cleaner().clean(Row(moment, {}, moment))):
        for found in (row.time, row.arrived):
            assert found == NOON
            assert type(found) is datetime
            assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (Row(None, {}), "the time of a Row is an aware datetime, not None"),
        (Row(pd.NaT, {}), "the time of a Row is an aware datetime, not NaT"),
        (Row("2024-01-01", {}), "the time of a Row is an aware datetime, not '2024-01-01'"),
        (Row(1704153600, {}), "the time of a Row is an aware datetime, not 1704153600"),
        (Row(date(2024, 1, 1), {}), "the time of a Row is an aware datetime, not datetime.date(2024, 1, 1)"),
        (
            Row(datetime(2024, 1, 1), {}),  # noqa: DTZ001
            "the time 2024-01-01 00:00:00 of a row has no time zone; make it aware, such as by .replace(tzinfo=UTC)",
        ),
        (
            Row(pd.Timestamp("2024-01-01"), {}),
            "the time 2024-01-01 00:00:00 of a row has no time zone; make it aware, such as by .replace(tzinfo=UTC)",
        ),
        (
            Row(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9))), {}),
            "the time of a row is in the year 1, as some sources say that they know none",
        ),
        (Row(NOON, {}, "now"), "the arrival of a Row is an aware datetime, not 'now'"),
        (Row(NOON, [1]), "the data of a Row is a mapping of values by name, not a list"),
        ({"time": NOON}, "a Row is due, not a dict"),
        (5, "a Row is due, not an int"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_with_a_sentence(row, sentence):
    for clean in (cleaned, Cleaner().clean):
        with pytest.raises(FeedError) as caught:
            clean(row)
        assert str(caught.value) == sentence


def test_names_are_text():
    assert cleaned(Row(NOON, {0: 1, ("Close", "AAPL"): 2, ("Date", ""): 3})).data == {
        "0": 1,
        "Close.AAPL": 2,
        "Date": 3,
    }


def test_a_feed_that_fills_its_old_dict_anew_changes_no_row_that_it_gave():
    data = {"BTC": 1.0}
    row = cleaned(Row(NOON, data))
    data["BTC"] = 2.0

    assert row.data == {"BTC": 1.0}


def test_half_a_character_is_left_out_of_a_live_row_and_written_as_its_escape_in_a_name():
    r"""JSON can say "\ud800", which no text on a wire or in a store can hold."""
    row = Row(
        NOON, {"BTC": 1.0, "note": "\ud800", "deep": ["a", "\udfff"], "\ud800": 2.0, "né\U0001f600": "é\U0001f600"}
    )
    told: list[FeedEvent] = []
    assert Cleaner(told.append).clean(row).data == {"BTC": 1.0, "\\ud800": 2.0, "né\U0001f600": "é\U0001f600"}
    assert [event.name for event in told] == ["note", "deep"]
    reason = "text with half a character (a lone surrogate), which cannot be sent or stored"
    assert {event.reason for event in told} == {f"it is {reason}"}
    with pytest.raises(FeedError) as caught:
        cleaned(row)
    assert str(caught.value) == f"the row of {NOON}: note is {reason}"


@pytest.mark.parametrize("year", [1, 9999])
def test_a_time_at_the_end_of_the_calendar_is_none(year):
    """Some sources of data write 0001-01-01 for a time that they do not know."""
    with pytest.raises(FeedError, match=f"is in the year {year}, as some sources say that they know none"):
        cleaned(Row(datetime(year, 1, 1, tzinfo=UTC), {"BTC": 1.0}))
