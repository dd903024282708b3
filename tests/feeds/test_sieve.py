"""What of an endpoint's documents is passed: what is new or corrected, once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from crunch_game.feeds import _sieve
from crunch_game.feeds._sieve import Sieve
from crunch_game.feeds.base import FeedGap, Row

START = datetime(2024, 1, 1, tzinfo=UTC)


def moment(second: float) -> datetime:
    return START + timedelta(seconds=second)


def row(second: float, **data: object) -> Row:
    return Row(moment(second), data or {"BTC": 1.0})


LATER = moment(1000)


def passed(sieve: Sieve, *document: Row, now: datetime = LATER) -> list[Row | FeedGap]:
    return list(sieve.sift(document, now))


def test_a_row_is_passed_once_and_a_correction_of_it_too():
    sieve = Sieve(None, None)

    assert passed(sieve, row(1), row(2)) == [row(1), row(2)]
    assert passed(sieve, row(1, BTC=1.5), row(2), row(3)) == [row(1, BTC=1.5), row(3)]
    assert passed(sieve, row(1, BTC=1.5), row(2), row(3)) == []


def test_servers_that_take_turns_with_what_they_know_correct_nothing():
    sieve = Sieve(None, None)
    passed(sieve, row(1), row(2))
    passed(sieve, row(1, BTC=1.5), row(3))

    assert passed(sieve, row(1), row(2)) == passed(sieve, row(1, BTC=1.5), row(3)) == []


def test_late_rows_are_passed_in_the_order_of_their_times_within_a_document():
    sieve = Sieve(None, None)
    passed(sieve, row(5))

    assert passed(sieve, row(6), row(2), row(4)) == [row(2), row(4), row(6)]
    assert sieve.newest == moment(6)


def test_a_row_from_the_future_hides_no_other():
    """One dated a day ahead silenced a feed for a day."""
    sieve = Sieve(None, timedelta(seconds=5))
    now = moment(1)

    assert passed(sieve, row(1), row(86_400), now=now) == [row(1), row(86_400)]
    assert sieve.newest == moment(1)
    assert passed(sieve, row(2), row(86_400), now=now) == [row(2)]
    assert passed(sieve, row(10), now=moment(10)) == [FeedGap(moment(2), moment(10)), row(10)]


def test_what_was_before_since_is_not_passed_but_its_corrections_are():
    sieve = Sieve(moment(2), None)

    assert passed(sieve, row(1), row(2), row(3)) == [row(3)]
    assert passed(sieve, row(1, BTC=1.5), row(2), row(3)) == [row(1, BTC=1.5)]


def test_rows_of_one_time_for_each_asset_are_one_row():
    """As an endpoint gives them that has a record for each asset."""
    sieve = Sieve(None, None)
    whole = row(1, BTC=1.0, ETH=2.0)

    assert passed(sieve, row(1, BTC=1.0), row(2, BTC=3.0), row(1, ETH=2.0)) == [whole, row(2, BTC=3.0)]
    assert passed(sieve, row(1, BTC=1.0), row(1, ETH=2.0)) == []
    assert passed(sieve, row(3, BTC=1.0), row(3, BTC=2.0)) == [row(3, BTC=1.0), row(3, BTC=2.0)], "a correction"


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(_sieve, "_LEAST_REMEMBERED", 10)
    sieve = Sieve(None, None)
    for second in range(100):
        assert passed(sieve, row(second)) == [row(second)]
    for price in range(100):
        assert passed(sieve, row(99, BTC=price + 2.0))

    assert list(sieve._met) == [moment(second) for second in range(90, 100)]
    assert len(sieve._met[moment(99)]) == 16
    assert passed(sieve, *map(row, range(100, 150))), "a document is remembered whole, however long it is"
    assert passed(sieve, *map(row, range(100, 150))) == []


documents = st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=6), max_size=8)


@given(documents)
def test_every_version_is_passed_exactly_once(found):
    sieve = Sieve(None, None)
    rows = [row(second, BTC=price) for document in found for second, price in document]

    given_rows = [each for document in found for each in passed(sieve, *[row(at, BTC=price) for at, price in document])]

    assert len(given_rows) == len({(each.time, each.data["BTC"]) for each in rows})
    assert all(each in rows for each in given_rows)
    assert all(each in given_rows for each in rows)
