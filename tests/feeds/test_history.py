"""History against a naive model of itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.errors import FeedError
from crunch_game.feeds import History
from crunch_game.feeds.base import Row

START = datetime(2024, 1, 1, tzinfo=UTC)


def moment(second: int) -> datetime:
    return START + timedelta(seconds=second)


def row(second: int) -> Row:
    return Row(moment(second), {"BTC": float(second)})


seconds = st.integers(0, 60)
histories = st.sets(seconds).map(sorted).map(lambda taken: [row(second) for second in taken])


@given(histories, seconds)
def test_at_is_the_last_row_at_or_before(rows, second):
    expected = [r for r in rows if r.time <= moment(second)]

    assert History(rows).at(moment(second)) == (expected[-1] if expected else None)


@given(histories, seconds)
def test_first_from_is_the_first_row_at_or_after(rows, second):
    expected = [r for r in rows if r.time >= moment(second)]

    assert History(rows).first_from(moment(second)) == (expected[0] if expected else None)


@given(histories, seconds, seconds)
def test_between_includes_both_ends(rows, start, end):
    expected = [r for r in rows if moment(start) <= r.time <= moment(end)]

    assert History(rows).between(moment(start), moment(end)) == expected


@given(histories)
def test_rows_are_kept_in_their_order(rows):
    history = History(iter(rows))

    assert list(history) == rows
    assert len(history) == len(rows)
    assert history.latest == (rows[-1] if rows else None)


@given(histories, seconds, st.integers(0, 60), st.integers(0, 60))
def test_forgetting_changes_no_lookup_from_that_time_on(rows, before, later, even_later):
    full, history = History(rows), History(rows)
    time, end = moment(before + later), moment(before + later + even_later)

    history.forget(moment(before))

    assert history.at(time) == full.at(time)
    assert history.first_from(time) == full.first_from(time)
    assert history.between(time, end) == full.between(time, end)
    assert history.latest == full.latest


@given(histories, seconds)
def test_forgetting_frees_all_but_one_of_the_earlier_rows(rows, before):
    history = History(rows)

    history.forget(moment(before))

    assert sum(r.time <= moment(before) for r in history) <= 1


def test_a_row_that_is_not_later_is_refused_and_changes_nothing():
    history = History([row(5)])

    for late in (row(5), row(4)):
        with pytest.raises(FeedError) as caught:
            history.append(late)
        assert str(caught.value) == (
            f"a row of {late.time} cannot follow one of 2024-01-01 00:00:05+00:00; "
            "append rows in the order of their times"
        )
    assert list(history) == [row(5)]
    assert len(history.between(moment(0), moment(60))) == 1


def test_the_constructor_refuses_rows_out_of_order():
    with pytest.raises(FeedError, match="cannot follow"):
        History([row(2), row(1)])


def test_a_late_row_is_refused_after_everything_was_forgotten():
    history = History([row(5)])
    history.forget(moment(60))

    with pytest.raises(FeedError, match="cannot follow"):
        history.append(row(4))


def test_times_of_other_zones_are_the_same_moments():
    tokyo = timezone(timedelta(hours=9))

    assert History([row(5)]).at(moment(5).astimezone(tokyo)) == row(5)


@pytest.mark.parametrize(
    "lookup",
    [
        lambda history, time: history.at(time),
        lambda history, time: history.first_from(time),
        lambda history, time: history.between(time, moment(1)),
        lambda history, time: history.between(moment(1), time),
        lambda history, time: history.forget(time),
        lambda history, time: history.append(Row(time, {})),
    ],
)
def test_a_naive_time_is_refused_even_by_an_empty_history(lookup):
    with pytest.raises(FeedError) as caught:
        lookup(History(), datetime(2024, 1, 1))  # noqa: DTZ001
    assert str(caught.value) == (
        "the time 2024-01-01 00:00:00 has no time zone; give an aware one, such as datetime.now(UTC)"
    )


def test_the_lists_given_out_are_copies():
    history = History([row(1), row(2)])
    history.between(moment(0), moment(9)).clear()

    assert len(history) == 2


def test_the_repr_says_how_much_and_of_when():
    assert repr(History()) == "History(empty)"
    assert repr(History([row(1), row(2)])) == (
        "History(2 rows, 2024-01-01 00:00:01+00:00 to 2024-01-01 00:00:02+00:00)"
    )


# Rows that come late


@given(st.lists(st.tuples(seconds, st.integers(0, 3)), max_size=30))
def test_inserted_rows_are_in_order_and_the_later_of_a_time_stays(pairs):
    history = History()
    for second, price in pairs:
        history.insert(Row(moment(second), {"BTC": price}))

    newest = dict(pairs)
    assert list(history) == [Row(moment(second), {"BTC": newest[second]}) for second in sorted(newest)]
    assert all(history.at(moment(second)).data == {"BTC": price} for second, price in newest.items())


@pytest.mark.parametrize("order", [[1, 2], [2, 1]])
def test_the_later_arrival_is_the_correction(order):
    """In whichever order they are inserted, as rows of a recording may be."""
    history = History()
    for second in order:
        history.insert(Row(moment(0), {"BTC": second}, moment(second)))

    assert history.latest == Row(moment(0), {"BTC": 2})


def test_what_was_inserted_late_can_be_followed_as_before():
    history = History([row(1), row(5)])
    history.insert(row(3))
    history.append(row(6))

    assert list(history) == [row(1), row(3), row(5), row(6)]
    with pytest.raises(FeedError, match="has no time zone"):
        history.insert(Row(datetime(2024, 1, 1), {}))  # noqa: DTZ001
    assert len(history) == 4
