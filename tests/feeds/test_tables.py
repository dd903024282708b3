"""Tables as libraries and people write them: the time is found, tidy ones are pivoted, labels become names."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.errors import FeedError
from crunch_game.feeds import ReplayFeed
from crunch_game.feeds.base import Row

JAN1 = datetime(2024, 1, 1, tzinfo=UTC)
JAN2 = datetime(2024, 1, 2, tzinfo=UTC)
DAYS = pd.to_datetime(["2024-01-01", "2024-01-02"])
PLAIN = [Row(JAN1, {"BTC": 1}), Row(JAN2, {"BTC": 2})]


def read(source: object, **options: object) -> list[Row]:
    async def gather() -> list[Row]:
        return [row async for row in ReplayFeed(source, **options).rows()]

    return asyncio.run(gather())


def refusal(source: object, **options: object) -> str:
    with pytest.raises(FeedError) as caught:
        read(source, **options)
    return str(caught.value)


# The time


@pytest.mark.parametrize("name", ["time", "Time", "date", "Date", " DateTime ", "timestamp"])
def test_a_column_with_a_usual_name_is_the_time(name, tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text(f"BTC,{name}\n1,2024-01-01\n2,2024-01-02\n")
    frame = pd.DataFrame({"BTC": [1, 2], name: DAYS})

    assert read(frame) == PLAIN
    assert read(frame.to_dict("records")) == PLAIN
    assert read(iter(frame.to_dict("records"))) == PLAIN
    assert read(path) == PLAIN


@pytest.mark.parametrize("name", [None, "Date", "when", "BTC time"])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_an_index_of_times_is_the_time_whatever_it_is_called(name, zone):
    """As tables of market-data libraries have it."""
    frame = pd.DataFrame({"BTC": [1, 2]}, index=pd.DatetimeIndex(DAYS, name=name, tz=zone))

    assert read(frame) == PLAIN


def test_a_series_with_an_index_of_times_is_a_table_of_one_column():
    series = pd.Series([1, 2], index=DAYS, name="BTC")

    assert read(series) == PLAIN
    assert read(series.rename(None)) == [Row(JAN1, {"value": 1}), Row(JAN2, {"value": 2})]
    assert read(tidy().set_index(["date", "symbol"])["close"]) == WIDE


@pytest.mark.parametrize("index", [["2024-01-01", "2024-01-02"], [date(2024, 1, 1), date(2024, 1, 2)]])
@pytest.mark.parametrize("name", [None, "Date"])
def test_an_index_of_dates_that_are_text_is_the_time(index, name):
    assert read(pd.DataFrame({"BTC": [1, 2]}, index=pd.Index(index, name=name))) == PLAIN


def test_a_table_without_a_name_for_its_index_is_read_from_files_too(tmp_path):
    """The column of the index has no name in a CSV, and a made-up one in Parquet."""
    polars = pytest.importorskip("polars")
    frame = pd.DataFrame({"BTC": [1, 2]}, index=DAYS)
    frame.to_csv(tmp_path / "prices.csv")
    frame.to_parquet(tmp_path / "prices.parquet")

    assert read(tmp_path / "prices.csv") == PLAIN
    assert read(tmp_path / "prices.parquet") == PLAIN
    assert read(polars.read_parquet(tmp_path / "prices.parquet")) == PLAIN
    assert read(pd.read_csv(tmp_path / "prices.csv")) == PLAIN


def test_a_count_of_the_rows_is_no_time(tmp_path):
    pd.DataFrame({"BTC": [1, 2]}).to_csv(tmp_path / "prices.csv")

    assert refusal(pd.DataFrame({"BTC": [1, 2]})) == (
        "the DataFrame: there is no time column; name it with time=..., the columns are: BTC"
    )
    assert refusal(tmp_path / "prices.csv").endswith(
        "prices.csv: there is no time column; name it with time=..., the columns are: '', 'BTC'"
    )


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            pd.DataFrame({"BTC": [1], "Date": ["2024-01-01"], "Time": ["09:30"]}),
            "'Date' and 'Time' may be the time; name it with time=..., the columns are: BTC, Date, Time",
        ),
        (
            pd.DataFrame({"BTC": [1], "date": ["2024-01-01"]}, index=DAYS[:1]),
            "'index' and 'date' may be the time; name it with time=..., the columns are: index, BTC, date",
        ),
        (
            pd.DataFrame([[1, 2]], columns=["date", "date"]),
            "the column 'date' is there more than once; rename one of them",
        ),
    ],
)
def test_where_two_may_be_the_time_none_is_guessed(table, sentence):
    assert refusal(table) == f"the DataFrame: {sentence}"


def test_the_time_that_is_given_decides():
    frame = pd.DataFrame({"BTC": [1, 2], "date": ["a", "b"], "when": DAYS}, index=DAYS + pd.Timedelta(hours=12))

    assert read(frame, time="when", columns=["BTC"]) == PLAIN
    assert read(frame.drop(columns="date"), time="when") == PLAIN, "the index says nothing else"
    assert [row.time.hour for row in read(frame, time="index", columns=["BTC"])] == [12, 12]


def test_years_and_months_are_read_as_such(tmp_path):
    """As tables of statistics offices have them."""
    path = tmp_path / "rates.csv"
    path.write_text("date,rate\n202401,1.5\n202402,2\n")

    assert [row.time for row in read(pd.DataFrame({"time": [2001, 2002]}))] == [
        datetime(2001, 1, 1, tzinfo=UTC),
        datetime(2002, 1, 1, tzinfo=UTC),
    ]
    assert read(path) == [Row(JAN1, {"rate": 1.5}), Row(datetime(2024, 2, 1, tzinfo=UTC), {"rate": 2.0})]


# The labels


def test_labels_of_several_levels_become_names_with_the_asset_first():
    """As a table of a market-data library for several tickers has them, whichever level it puts first."""
    labels = pd.MultiIndex.from_product([["Close", "Volume"], ["AAPL", "IBM"]], names=["Price", "Ticker"])
    frame = pd.DataFrame([[1.5, 2.5, 3, 4]], index=pd.DatetimeIndex(DAYS[:1], name="Date"), columns=labels)
    row = Row(JAN1, {"AAPL.Close": 1.5, "IBM.Close": 2.5, "AAPL.Volume": 3, "IBM.Volume": 4})

    assert read(frame) == read(frame.swaplevel(axis=1)) == read(frame.reset_index()) == [row]
    assert read(frame["Close"]) == [Row(JAN1, {"AAPL": 1.5, "IBM": 2.5})]
    assert read(frame.stack(future_stack=True)) == [row], "stacked, it is a tidy one"


def test_labels_without_names_for_their_levels_keep_their_order():
    frame = pd.DataFrame([[1, 2]], index=DAYS[:1], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", "")]))

    assert read(frame) == [Row(JAN1, {"a.1": 1, "b": 2})]


# Gaps


def test_ints_of_a_table_stay_ints_beside_gaps():
    """A column of a type that knows gaps; one that became floats cannot be told from floats."""
    polars = pytest.importorskip("polars")
    data = {"time": ["2024-01-01", "2024-01-02"], "count": [3, None]}

    for frame in (pd.DataFrame(data).astype({"count": "Int64"}), polars.DataFrame(data)):
        first, second = read(frame)
        assert (first.data, second.data) == ({"count": 3}, {})
        assert type(first.data["count"]) is int
    assert type(read(pd.DataFrame(data))[0].data["count"]) is float


# Tidy tables


def tidy(key: str = "symbol", **more: object) -> pd.DataFrame:
    return pd.DataFrame(
        {"date": [*DAYS, *DAYS], key: ["BTC", "BTC", "ETH", "ETH"], "close": [1, 2, 3, 4]} | more,
    )


WIDE = [Row(JAN1, {"BTC": 1, "ETH": 3}), Row(JAN2, {"BTC": 2, "ETH": 4})]


@pytest.mark.parametrize("key", ["asset", "Symbol", "TICKER"])
def test_a_tidy_table_is_pivoted(key, tmp_path):
    """In whichever order its rows are."""
    frame = tidy(key)
    frame.to_csv(tmp_path / "prices.csv", index=False)

    assert read(frame) == WIDE
    assert read(frame.sort_values(["date", key])) == WIDE
    assert read(frame.iloc[::-1]) == WIDE
    assert read(frame.astype({key: "category"})) == WIDE
    assert read(frame.set_index(["date", key])) == WIDE
    assert read(frame.set_index("date")) == WIDE
    assert read(frame.to_dict("records")) == WIDE
    assert read([Row(at, {key: name, "close": close}) for at, name, close in frame.itertuples(index=False)]) == WIDE
    assert read(tmp_path / "prices.csv") == WIDE


def test_a_tidy_table_with_several_columns_names_both():
    frame = tidy(volume=[5.0, 6.0, 7.0, None])

    assert read(frame) == [
        Row(JAN1, {"BTC.close": 1, "BTC.volume": 5.0, "ETH.close": 3, "ETH.volume": 7.0}),
        Row(JAN2, {"BTC.close": 2, "BTC.volume": 6.0, "ETH.close": 4}),
    ]
    assert read(frame, columns=["close"]) == read(frame, columns=["symbol", "close"]) == WIDE


def test_an_asset_that_is_not_there_all_the_time_is_missing_then():
    assert read(tidy().iloc[:3]) == [WIDE[0], Row(JAN2, {"BTC": 2})]


def test_another_key_is_named_with_pivot():
    frame = tidy("coin")

    assert refusal(frame) == (
        "the DataFrame: several rows have the same time; give pivot='coin' for one row per time, "
        "with the values of each coin by its name"
    )
    assert refusal(frame.to_dict("records")).startswith("the rows: several rows have the same time; give pivot='coin'")
    assert read(frame, pivot="coin") == read(iter(frame.to_dict("records")), pivot="coin") == WIDE
    assert read(tidy("id").assign(id=[7, 7, 8, 8]), pivot="id")[0] == Row(JAN1, {"7": 1, "8": 3})


def test_where_two_may_be_the_key_none_is_guessed():
    assert refusal(tidy(asset=["a", "a", "b", "b"])) == (
        "the DataFrame: several rows have the same time; give pivot='symbol' or pivot='asset' for one row per time, "
        "with the values of each of these by its name"
    )


def test_rows_that_are_read_as_they_go_are_not_pivoted_and_say_how():
    assert refusal(iter(tidy().sort_values("date").to_dict("records"))) == (
        "row 1: its time 2024-01-01 00:00:00+00:00 is not later than 2024-01-01 00:00:00+00:00 of row 0; "
        "sort by time and keep one row for each, or give pivot='symbol' if it is a row for each symbol"
    )


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (
            pd.concat([tidy(), tidy()[:1]]),
            ", row 4: a second row of BTC at 2024-01-01 00:00:00+00:00, after row 0; keep one",
        ),
        (tidy().assign(symbol=["BTC", None, "ETH", "ETH"]), ", row 1: it has no symbol, by which the table is pivoted"),
        (tidy().assign(symbol=["BTC", "", "ETH", "ETH"]), ", row 1: it has no symbol, by which the table is pivoted"),
        (tidy("coin"), ": there is no column 'symbol'; the columns are: date, coin, close"),
        (
            tidy(close=[1, 2, float("inf"), 4]),
            ", rows of 2024-01-01 00:00:00+00:00: ETH is inf; a value must be finite, or left out",
        ),
    ],
)
def test_a_tidy_table_that_cannot_be_pivoted_is_refused(frame, sentence):
    assert refusal(frame.reset_index(drop=True), pivot="symbol") == f"the DataFrame{sentence}"


def test_one_asset_needs_no_pivot():
    one = tidy().iloc[:2]

    assert read(one) == [Row(JAN1, {"symbol": "BTC", "close": 1}), Row(JAN2, {"symbol": "BTC", "close": 2})]
    assert read(one, pivot="symbol") == PLAIN
    assert "sort by time" in refusal(one.iloc[::-1])


moments = st.sets(st.integers(0, 20), min_size=2, max_size=6)
assets = st.sets(st.sampled_from(["BTC", "ETH", "SOL", "DOGE"]), min_size=2)


@given(moments, assets, st.randoms(use_true_random=False))
def test_a_table_made_tidy_and_shuffled_is_read_as_before(seconds, names, random):
    rows = [
        Row(JAN1 + timedelta(seconds=second), {name: second * 10 + len(name) for name in sorted(names)})
        for second in sorted(seconds)
    ]
    melted = [{"time": row.time, "asset": name, "price": price} for row in rows for name, price in row.data.items()]
    random.shuffle(melted)

    assert read(melted) == rows


def test_what_is_no_file_is_told(tmp_path: Path):
    assert refusal("sqlite:///game.db") == (
        "sqlite:///game.db is no file; give a store as open_store('sqlite:///game.db'), an endpoint to a PollingFeed"
    )
