"""ReplayFeed reads files, tables and iterables, and refuses bad data before the first row."""

from __future__ import annotations

import asyncio
import csv
import gzip
import math
import sys
from collections import UserDict
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.errors import FeedError, MissingExtra
from crunch_game.feeds import ReplayFeed
from crunch_game.feeds.base import Feed, Row

JAN1 = datetime(2024, 1, 1, tzinfo=UTC)
JAN2 = datetime(2024, 1, 2, tzinfo=UTC)


def read(feed: Feed, since: datetime | None = None) -> list[Row]:
    async def gather() -> list[Row]:
        return [row async for row in feed.rows(since)]

    return asyncio.run(gather())


def write(folder: Path, text: str, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def refusal(source: object, **options: object) -> str:
    """The sentence with which the feed is refused when it is made, without the folder."""
    with pytest.raises(FeedError) as caught:
        ReplayFeed(source, **options)
    folder = f"{source.parent}/" if isinstance(source, Path) else "\0"
    return str(caught.value).replace(folder, "")


# What is read


def test_a_csv_gives_numbers_and_text_and_leaves_out_what_is_empty(tmp_path):
    path = write(tmp_path, "time,BTC,ETH,note\n2024-01-01,1,nan,calm\n2024-01-02,2.5e1,-3, \n2024-01-03,,1_000,x y\n")

    rows = read(ReplayFeed(path))

    assert [row.data for row in rows] == [
        {"BTC": 1.0, "note": "calm"},
        {"BTC": 25.0, "ETH": -3.0},
        {"ETH": "1_000", "note": "x y"},
    ]
    assert type(rows[0].data["BTC"]) is float, "25 is written as a float in the same column"
    assert rows[0].time == JAN1
    assert rows[0].time.tzinfo is UTC


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "", "3"], [1, None, 3]),
        (["1", "nan", "+3"], [1, None, 3]),
        (["1", "2.0", "3"], [1.0, 2.0, 3.0]),
        (["1", "x", "3"], [1, "x", 3]),
        (["-1", "", " 3 "], [-1, None, 3]),
        (["1" * 20, "2.0"], [11111111111111111111.0, 2.0]),
        (["12345678901234567891", "", "1"], [12345678901234567891, None, 1]),
    ],
)
def test_ints_of_a_csv_stay_ints_beside_gaps(tmp_path, cells, values):
    """As an `int` contract wants it; a column that has one float is of floats, as a table of pandas would be."""
    lines = "".join(f"{2000 + year},{cell}\n" for year, cell in enumerate(cells))

    rows = read(ReplayFeed(write(tmp_path, f"time,BTC\n{lines}")))

    assert [row.data.get("BTC") for row in rows] == values
    assert [type(row.data.get("BTC")) for row in rows] == [type(value) for value in values]


def test_a_feed_over_a_file_has_a_length_is_not_live_and_can_be_read_many_times(tmp_path):
    feed = ReplayFeed(str(write(tmp_path, "time,BTC\n2024-01-01,1\n\n2024-01-02,2\n")))

    assert feed.live is False
    assert len(feed) == 2
    assert read(feed) == read(feed) == [Row(JAN1, {"BTC": 1.0}), Row(JAN2, {"BTC": 2.0})]


def test_gzip_a_byte_order_mark_and_other_column_names_are_read(tmp_path):
    path = tmp_path / "prices.CSV.gz"
    path.write_bytes(gzip.compress("\ufeffdate, BTC ,ETH\n2024-01-01,1,2\n".encode()))

    assert read(ReplayFeed(path, time="date", columns=["BTC"])) == [Row(JAN1, {"BTC": 1.0})]


@pytest.mark.parametrize("since", [JAN1, JAN1.replace(tzinfo=None), JAN1.astimezone(timezone(timedelta(hours=-5)))])
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_since_leaves_out_its_own_moment(since, kind):
    feed = ReplayFeed(kind([Row(JAN1, {}), Row(JAN2, {})]))

    assert read(feed, since) == [Row(JAN2, {})]


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2024-01-02", JAN2),
        ("2024-01-02 00:00:00", JAN2),
        ("2024-01-02T00:00:00Z", JAN2),
        (" 2024-01-02T05:30:00+05:30 ", JAN2),
        ("1704153600", JAN2),
        ("1704153600.25", JAN2 + timedelta(seconds=0.25)),
        ("-1.5", datetime(1969, 12, 31, 23, 59, 58, 500_000, UTC)),
        (1704153600, JAN2),
        (1704153600.0, JAN2),
        (Decimal("1704153600"), JAN2),
        (date(2024, 1, 2), JAN2),
        (datetime(2024, 1, 2), JAN2),  # noqa: DTZ001
        (JAN2.astimezone(timezone(timedelta(hours=9))), JAN2),
        (np.int64(1704153600), JAN2),
        (np.datetime64("2024-01-02", "D"), JAN2),
        (np.datetime64("2024-01-02", "ns"), JAN2),
        (pd.Timestamp("2024-01-02T00:00:00.000000001"), JAN2),
    ],
)
def test_times_are_read_and_given_in_utc(written, moment):
    (row,) = read(ReplayFeed([{"time": written}]))

    assert row.time == moment
    assert type(row.time) is datetime
    assert row.time.tzinfo is UTC


def test_a_mappings_values_become_what_json_can_hold():
    values = {
        "none": None,
        "nan": math.nan,
        "missing": np.float64("nan"),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "price": Decimal("1.5"),
        "day": date(2024, 1, 1),
        "book": [[1, 2]],
        "whole": 7,
    }

    (row,) = read(ReplayFeed([{"time": JAN1} | values]))

    assert row.data == {"count": 3, "flag": True, "price": 1.5, "day": "2024-01-01", "book": [[1, 2]], "whole": 7}
    assert [type(row.data[name]) for name in ("count", "flag", "price", "whole")] == [int, bool, float, int]


def test_rows_are_narrowed_to_the_columns():
    feed = ReplayFeed([Row(JAN1, {"BTC": 1.0, "ETH": 2.0}), Row(JAN2, {"BTC": 3.0})], columns=["ETH"])

    assert [row.data for row in read(feed)] == [{"ETH": 2.0}, {}]


def test_any_mapping_is_a_row():
    assert read(ReplayFeed([UserDict(time=JAN1, BTC=1.0)])) == [Row(JAN1, {"BTC": 1.0})]


def test_no_rows_in_a_list_is_a_feed_of_no_rows():
    assert read(ReplayFeed([], columns=["BTC"])) == []


# Iterables that are read as they go


def test_an_iterator_is_read_only_as_far_as_it_is_asked():
    taken = []

    def endless():
        for second in range(10**9):
            taken.append(second)
            yield {"time": second, "BTC": 1.0}

    async def two() -> list[Row]:
        rows = ReplayFeed(endless()).rows()
        found = [await anext(rows), await anext(rows)]
        await rows.aclose()
        return found

    assert len(asyncio.run(two())) == 2
    assert taken == [0, 1]


def test_an_iterator_is_checked_as_it_goes():
    feed = ReplayFeed(iter([Row(JAN2, {}), Row(JAN1, {})]))
    given = []

    async def take() -> None:
        async for row in feed.rows():
            given.append(row)  # noqa: PERF401 (what was given before the error is the point)

    with pytest.raises(FeedError) as caught:
        asyncio.run(take())
    assert given == [Row(JAN2, {})]
    assert str(caught.value) == (
        "row 1: its time 2024-01-01 00:00:00+00:00 is not later than 2024-01-02 00:00:00+00:00 of row 0; "
        "sort by time and keep one row for each"
    )


def test_a_used_up_iterator_is_told_and_never_an_empty_feed():
    feed = ReplayFeed(iter([Row(JAN1, {})]))
    read(feed)

    with pytest.raises(FeedError) as caught:
        read(feed)
    assert str(caught.value) == "this feed was made from an iterator, which can be read only once; give a list"


def test_an_iterable_that_begins_anew_can_be_read_many_times_but_has_no_length():
    class Source:
        def __iter__(self):
            return iter([Row(JAN1, {})])

    feed = ReplayFeed(Source())

    assert read(feed) == read(feed) == [Row(JAN1, {})]
    assert feed
    with pytest.raises(TypeError) as caught:
        len(feed)
    assert str(caught.value) == "this feed reads its source as it goes, so it has no length; give a list for one"


# Tables


def test_a_pandas_frame_is_read():
    frame = pd.DataFrame(
        {
            "time": pd.to_datetime(["2024-01-01", "2024-01-02"]),
            "BTC": [1, 2],
            "ETH": [1.5, None],
            "count": pd.array([None, 4], dtype="Int64"),
            "note": ["a", None],
        }
    )
    feed = ReplayFeed(frame)

    assert len(feed) == 2
    assert read(feed) == [Row(JAN1, {"BTC": 1, "ETH": 1.5, "note": "a"}), Row(JAN2, {"BTC": 2, "count": 4})]
    assert type(read(feed)[0].data["BTC"]) is int


def test_a_pandas_index_with_the_name_of_the_time_is_the_time():
    frame = pd.DataFrame({"BTC": [1.0]}, index=pd.DatetimeIndex(["2024-01-01"], name="Date", tz="UTC"))

    assert read(ReplayFeed(frame, time="Date")) == [Row(JAN1, {"BTC": 1.0})]


def test_a_frame_without_value_columns_is_a_clock():
    assert read(ReplayFeed(pd.DataFrame({"time": [0, 60]}), columns=[])) == [
        Row(datetime(1970, 1, 1, tzinfo=UTC), {}),
        Row(datetime(1970, 1, 1, 0, 1, tzinfo=UTC), {}),
    ]


def test_a_polars_frame_is_read():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"time": [date(2024, 1, 1), date(2024, 1, 2)], "BTC": [1.0, None], "ETH": [math.nan, 2.0]})

    assert read(ReplayFeed(frame)) == [Row(JAN1, {"BTC": 1.0}), Row(JAN2, {"ETH": 2.0})]


def test_a_parquet_file_is_read(tmp_path):
    path = tmp_path / "prices.parquet"
    pd.DataFrame({"time": pd.to_datetime(["2024-01-01", "2024-01-02"]), "BTC": [1.0, None]}).to_parquet(path)

    assert read(ReplayFeed(path)) == [Row(JAN1, {"BTC": 1.0}), Row(JAN2, {})]


def test_a_parquet_file_falls_to_polars_where_pandas_is_missing(tmp_path, monkeypatch):
    polars = pytest.importorskip("polars")
    path = tmp_path / "prices.parquet"
    polars.DataFrame({"time": [JAN1], "BTC": [1.0]}).write_parquet(path)
    monkeypatch.setitem(sys.modules, "pandas", None)

    assert read(ReplayFeed(path)) == [Row(JAN1, {"BTC": 1.0})]


def test_a_parquet_file_needs_pandas_or_polars(tmp_path, monkeypatch):
    path = write(tmp_path, "anything", "prices.parquet")
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "polars", None)

    with pytest.raises(MissingExtra) as caught:
        ReplayFeed(path)
    assert str(caught.value) == "pandas is not installed; from a clone of crunch_game: pip install '.[tables]'"


# What is refused, word for word


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "prices.csv: the file is empty; its first line must name the columns"),
        ("time,BTC\n", "prices.csv: it names columns but holds no rows"),
        (
            "when,BTC\n2024-01-01,1\n",
            "prices.csv: there is no time column; name it with time=..., the columns are: when, BTC",
        ),
        (
            "time,BTC,BTC\n2024-01-01,1,2\n",
            "prices.csv: the column 'BTC' is there more than once; rename one of them",
        ),
        (
            "time,BTC\n2024-01-01,1,2\n",
            "prices.csv, line 2: it has 3 cells, but the first line names 2 columns",
        ),
        (
            "time,BTC\n2024-01-01,1\n\n2024-01-02,Infinity\n",
            "prices.csv, line 4: BTC is inf; a value must be finite, or left out",
        ),
        (
            "time,BTC\n2024-01-01,-1e999\n",
            "prices.csv, line 2: BTC is -inf; a value must be finite, or left out",
        ),
        (
            "time,BTC\n2024-01-02,1\n2024-01-03,1\n2024-01-01T12:00,1\n",
            "prices.csv, line 4: its time 2024-01-01 12:00:00+00:00 is not later than 2024-01-03 00:00:00+00:00 "
            "of line 3; sort by time and keep one row for each",
        ),
        (
            "time,BTC\n2024-01-02,1\n1704153600,1\n",
            "prices.csv, line 3: its time 2024-01-02 00:00:00+00:00 is not later than 2024-01-02 00:00:00+00:00 "
            "of line 2; sort by time and keep one row for each",
        ),
        (
            'time,BTC\n2024-01-02,"1\n',
            "prices.csv: it cannot be read as CSV in UTF-8: unexpected end of data",
        ),
    ],
)
def test_a_bad_csv_is_refused_whole_with_a_sentence(tmp_path, text, sentence):
    assert refusal(write(tmp_path, text)) == sentence


@pytest.mark.parametrize(
    "written", ["yesterday", "", "nan", "inf", "31/01/2024", "1_704_153_600", "0001-01-01T00:00+14:00"]
)
def test_an_unreadable_time_is_refused(tmp_path, written):
    assert refusal(write(tmp_path, f"time,BTC\n2024-01-01,1\n{written},1\n")) == (
        f"prices.csv, line 3: the time {written!r} is not readable; "
        "write ISO 8601 (2024-01-31 or 2024-01-31T09:30:00Z) or epoch seconds"
    )


@pytest.mark.parametrize("written", [None, True, math.nan, math.inf, 10**30, pd.NaT, pd.NA, [1], {}])
def test_an_unreadable_time_of_a_mapping_is_refused(written):
    assert refusal([{"time": written}]) == (
        f"row 0: the time {written!r} is not readable; "
        "write ISO 8601 (2024-01-31 or 2024-01-31T09:30:00Z) or epoch seconds"
    )


def test_a_missing_file_is_refused(tmp_path):
    assert refusal(tmp_path / "gone.csv") == (
        "gone.csv: there is no such file; give the path of a .csv, .csv.gz or .parquet file"
    )
    assert "there is no such file" in refusal(tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path):
    assert refusal(write(tmp_path, "time\n", "prices.txt")) == (
        "prices.txt: its kind is not known by its name; use a .csv, .csv.gz or .parquet file"
    )


def test_a_missing_column_is_refused(tmp_path):
    path = write(tmp_path, "time,BTC,ETH\n2024-01-01,1,2\n")

    assert (
        refusal(path, columns=["BTC", "SOL"]) == "prices.csv: there is no column 'SOL'; the columns are: time, BTC, ETH"
    )
    assert refusal([Row(JAN1, {"BTC": 1.0})], columns=["SOL"]) == (
        "the rows: there is no column 'SOL'; the columns are: BTC"
    )


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"time,BTC\n2024-01-01,\xff\n"])
def test_a_csv_that_is_not_text_is_refused(tmp_path, content):
    path = tmp_path / "prices.csv"
    path.write_bytes(content)

    assert refusal(path).startswith("prices.csv: it cannot be read as CSV in UTF-8: 'utf-8' codec can't decode")


def broken_in_the_middle(packed: bytes) -> bytes:
    return packed[:12] + bytes(byte ^ 0xFF for byte in packed[12:-8]) + packed[-8:]


@pytest.mark.parametrize("damage", [lambda packed: packed[:-9], lambda packed: b"junk", broken_in_the_middle])
def test_a_damaged_gzip_file_is_refused(tmp_path, damage):
    path = tmp_path / "prices.csv.gz"
    path.write_bytes(damage(gzip.compress(b"time,BTC\n2024-01-01,1\n2024-01-02,2\n")))

    assert refusal(path).startswith("prices.csv.gz: it cannot be read as CSV in UTF-8: ")


def test_a_damaged_parquet_file_is_refused(tmp_path):
    path = write(tmp_path, "junk", "prices.parquet")

    assert refusal(path).startswith("prices.parquet: pandas cannot read it as Parquet: ")


def test_bad_frames_are_refused():
    assert refusal(pd.DataFrame({"time": []})) == "the DataFrame: it holds no rows"
    assert refusal(pd.DataFrame({"BTC": [1]})) == (
        "the DataFrame: there is no time column; name it with time=..., the columns are: BTC"
    )
    assert refusal(pd.DataFrame({"BTC": [1]}), time="t") == (
        "the DataFrame: there is no time column 't'; name it with time=..., the columns are: BTC"
    )
    assert refusal(pd.DataFrame([[0, 1, 2]], columns=["time", "BTC", "BTC"])) == (
        "the DataFrame: the column 'BTC' is there more than once; rename one of them"
    )
    assert refusal(pd.DataFrame({"time": [0, 1], "BTC": [1.0, math.inf]})) == (
        "the DataFrame, row 1: BTC is inf; a value must be finite, or left out"
    )
    assert refusal(pd.DataFrame({"time": [1, 1]})) == (
        "the DataFrame, row 1: its time 1970-01-01 00:00:01+00:00 is not later than 1970-01-01 00:00:01+00:00 "
        "of row 0; sort by time and keep one row for each"
    )


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (5, "a feed cannot be read from int; give the path of a file, a DataFrame, or an iterable of rows"),
        ({}, "a feed cannot be read from dict; give the path of a file, a DataFrame, or an iterable of rows"),
        ([1], "row 0: a Row or a mapping is due, not int"),
        (
            [{"time": 0}, {"date": 1, "BTC": 2}],
            "row 1: there is no time column 'time'; name it with time=..., the columns are: date, BTC",
        ),
    ],
)
def test_what_is_not_rows_is_refused(source, sentence):
    assert refusal(source) == sentence


# Round trip

names = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda name: name.strip() == name and name != "time")
numbers = st.floats(allow_nan=False, allow_infinity=False)


def is_plain_text(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return bool(text.strip())
    return False


texts = st.text(st.characters(codec="utf-8"), min_size=1).filter(is_plain_text)
times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def tables(draw):
    columns = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    moments = sorted(draw(st.sets(times, min_size=1, max_size=6)))
    row = st.dictionaries(st.sampled_from(columns), numbers | texts)
    return columns, [Row(moment, draw(row)) for moment in moments]


@given(tables())
def test_rows_written_as_csv_are_read_back_equal(tmp_path_factory, table):
    columns, rows = table
    path = tmp_path_factory.getbasetemp() / "round-trip.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["time", *columns])
        writer.writeheader()
        writer.writerows({"time": row.time.isoformat(), **row.data} for row in rows)

    assert read(ReplayFeed(path)) == rows
