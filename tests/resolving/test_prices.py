"""Price, Change and Return: right, not known yet, or never; and never a number that is silently wrong."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from asked import NOON, asked, history, minute
from hypothesis import given
from hypothesis import strategies as st

from crunch_game import GameError, History, Row
from crunch_game.resolving import Change, Never, Price, Return

LATE = {"max_age": "3m"}


@pytest.mark.parametrize(
    ("resolve", "outcome"),
    [
        (Price(), 110.0),
        (Change(), 10.0),
        (Return(), math.log(1.1)),
        (Return(log=False), 0.1),
    ],
)
def test_what_is_made_of_the_two_prices(resolve, outcome):
    """From the last one that was known at the slot to the first one at or after the horizon."""
    rows = history({-1: 90.0, 0: 100.0, 1: 500.0, 9: 500.0, 10: 110.0, 11: 500.0})

    assert resolve(asked(), rows) == pytest.approx(outcome, rel=1e-15)


@pytest.mark.parametrize(
    ("prices", "outcome"),
    [
        ({}, None),
        ({0: 100.0}, None),
        ({0: 100.0, 9.99: 110.0}, None),
        ({0: 100.0, 10: 110.0}, 10.0),
        ({-3: 100.0, 13: 110.0}, 10.0),  # as old, and as late, as is allowed
        ({-3: 50.0, -2: 100.0, -1: None, 11: None, 12: 110.0}, 10.0),  # the asset is missing in rows around
        ({-2: 100.0, -1: math.nan, 11: math.inf, 12: "110.0"}, 10.0),  # no number is missing, and text may be one
        ({0: 100.0, 11: None}, None),  # it may still come
        ({0: 100.0, 13: None}, None),  # a correction of that row may still bring it
        ({0: 100.0, 10: None, 13.01: 110.0}, "there is no price of BTC from 2026-01-01 12:10:00 UTC to 2026-01-01"),
        ({0: 100.0, 14: 110.0}, "there is no price of BTC from 2026-01-01 12:10:00 UTC to 2026-01-01 12:13:00 UTC"),
        ({-3.01: 100.0, 10: 110.0}, "there is no price of BTC from 2026-01-01 11:57:00 UTC to 2026-01-01 12:00:00 UTC"),
        ({-4: 100.0, -1: None, 10: 110.0}, "there is no price of BTC from 2026-01-01 11:57:00 UTC to"),
        ({1: 100.0, 10: 110.0}, "there is no price of BTC from 2026-01-01 11:57:00 UTC to"),  # known too late
        ({-4: 100.0, 11: None}, None),  # a late row may still bring the first
    ],
)
def test_gaps_and_stale_prices(prices, outcome):
    found = Change(**LATE)(asked(), history(prices))

    if isinstance(outcome, str):
        assert isinstance(found, Never)
        assert found.reason.startswith(outcome)
        assert str(found) == found.reason
    else:
        assert found == outcome


def test_by_default_a_price_may_be_off_by_the_horizon():
    assert Change()(asked(), history({-10: 100.0, 20: 110.0})) == 10.0
    assert isinstance(Change()(asked(), history({-10: 100.0, 20.01: 110.0})), Never)
    assert isinstance(Change()(asked(), history({-10.01: 100.0, 20: 110.0})), Never)


def test_the_price_at_the_horizon_needs_none_at_the_slot():
    assert Price(**LATE)(asked(), history({10: 110.0})) == 110.0


@pytest.mark.parametrize("resolve", [Return(), Return(log=False)])
@pytest.mark.parametrize("price", [0.0, -37.63])
def test_a_return_from_no_positive_price_is_never(resolve, price):
    """Oil was at -37.63 dollars once."""
    found = resolve(asked(), history({0: price, 10: 110.0}))

    kind = "log return" if resolve.log else "return"
    assert found == Never(
        f"the price of BTC at 2026-01-01 12:00:00 UTC is {price:g}: a {kind} needs one greater than 0"
    )


def test_what_falls_to_nothing_or_below_has_a_return_but_no_logarithm():
    for price, outcome in ((0.0, -1.0), (-50.0, -1.5)):
        rows = history({0: 100.0, 10: price})
        assert Return(log=False)(asked(), rows) == outcome
        assert Return()(asked(), rows) == Never(
            f"the price of BTC at 2026-01-01 12:10:00 UTC is {price:g}: a log return needs one greater than 0"
        )
        assert Change()(asked(), rows) == price - 100.0
        assert Price()(asked(), rows) == price


@pytest.mark.parametrize(("start", "end"), [(1e-300, 1e300), (1e300, 1e-300), (5e-324, 1.7e308), (1.7e308, 5e-324)])
def test_a_ratio_that_no_float_holds_has_a_logarithm_all_the_same(start, end):
    exact = math.log(Fraction(end) / Fraction(1)) - math.log(Fraction(start) / Fraction(1))

    assert Return()(asked(), history({0: start, 10: end})) == pytest.approx(exact, rel=1e-15)


def test_what_is_greater_than_a_float_is_never():
    for resolve, start in ((Return(log=False), 1e-300), (Change(), -1.7e308)):
        found = resolve(asked(), history({0: start, 10: 1.7e308}))
        assert isinstance(found, Never)
        assert found.reason.endswith("of BTC until 2026-01-01 12:10:00 UTC is greater than a float can be")


def test_a_late_row_counts_if_it_came_before_the_outcome_was_settled():
    rows = history({0: 100.0, 11: 120.0})
    assert Change()(asked(), rows) == 20.0
    rows.insert(Row(minute(10), {"BTC": 110.0}))
    assert Change()(asked(), rows) == 10.0


def test_late_rows_are_waited_for():
    resolve = Change(wait="2m")
    assert resolve(asked(), history({0: 100.0, 10: 110.0})) is None
    assert resolve(asked(), history({0: 100.0, 11: 120.0, 11.99: 120.0})) is None
    assert resolve(asked(), history({0: 100.0, 10: 110.0, 12: 120.0})) == 10.0


def test_a_correction_is_the_price_whichever_came_first():
    first = Row(minute(10), {"BTC": 110.0}, arrived=minute(10))
    second = Row(minute(10), {"BTC": 111.0}, arrived=minute(12))
    for order in ((first, second), (second, first), (first, first, second)):
        assert Change()(asked(), history({0: 100.0}, *order)) == 11.0


def test_a_correction_that_lost_the_price_leaves_none():
    lost = Row(minute(10), {"ETH": 5.0})
    assert Change()(asked(), history({0: 100.0, 10: 110.0}, lost)) is None


@pytest.mark.parametrize(
    "resolve", [Price("coin"), Price(of="coin"), Price(lambda prediction: prediction.arguments["coin"])]
)
def test_which_price_it_is_of(resolve):
    assert resolve(asked(coin="ETH"), history({10: 110.0})) == 5.0


def test_an_argument_that_is_not_there_is_told():
    with pytest.raises(GameError, match="of='coin' is no argument of the prediction predict, which has 'asset'; name"):
        Return("coin")(asked(), history({}))


@pytest.mark.parametrize("kind", [Price, Change, Return])
def test_what_is_wrong_is_told_where_it_stands(kind):
    with pytest.raises(GameError, match=r"of=3 must be the name of the argument that names the price"):
        kind(3)
    with pytest.raises(GameError, match="max_age 'soon' is not a duration"):
        kind(max_age="soon")
    with pytest.raises(GameError, match="wait -1 must be longer than zero"):
        kind(wait=-1)


def test_they_are_values():
    assert Return(log=False) == Return(log=False) != Return()
    assert Price() != Change()
    assert hash(Price()) == hash(Price())
    assert repr(Return(max_age="3m")).endswith("Return(of='asset', max_age='3m', wait=0.0, log=True)")


def test_a_calendar_has_an_end():
    assert Change(max_age=1e11)(asked(), history({0: 100.0, 10: 110.0})) == 10.0


def naive(rows: list[tuple[int, float | None]], max_age: int) -> float | str | None:
    """The change in words: of rows by minute, each once, in order."""
    if not rows or rows[-1][0] < 10:
        return None
    priced = [(number, price) for number, price in rows if price is not None]
    end = next((price for number, price in priced if 10 <= number <= 10 + max_age), None)
    if end is None:
        return None if rows[-1][0] <= 10 + max_age else "never"
    start = next((price for number, price in reversed(priced) if -max_age <= number <= 0), None)
    return "never" if start is None else end - start


prices = st.none() | st.integers(1, 100).map(float)
rows = st.dictionaries(st.integers(-12, 24), prices).map(lambda found: sorted(found.items()))


@given(rows, st.integers(0, 12), st.randoms())
def test_whatever_is_missing_and_in_whatever_order_it_came(rows, max_age, chance):
    arrived = [Row(minute(number), {} if price is None else {"BTC": price}) for number, price in rows]
    chance.shuffle(arrived)
    known = History()
    for row in arrived:
        known.insert(row)

    found = Change(max_age=timedelta(minutes=max_age))(asked(), known)

    assert ("never" if isinstance(found, Never) else found) == naive(rows, max_age)


@given(rows, st.integers(0, 12))
def test_what_is_never_stays_never_and_what_is_known_stays_known_as_rows_come(rows, max_age):
    """In the order of their times: a row that comes late may change either, until it is settled."""
    resolve = Change(max_age=timedelta(minutes=max_age))
    known, settled = History(), None
    for number, price in rows:
        known.append(Row(minute(number), {} if price is None else {"BTC": price}))
        found = resolve(asked(), known)
        assert settled is None or found == settled
        settled = found


def test_a_price_by_name_is_that_of_all_prices():
    row = Row(NOON, {"a": 1, "b": "2.5", "c": None, "d": math.nan, "e": True, "f": "x"})
    assert {name: row.price(name) for name in (*row.data, "g")} == dict.fromkeys("cdefg") | row.prices
    assert isinstance(row.time, datetime)
