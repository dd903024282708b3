"""Path: a number for each step, or none at all."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise

import pytest
from asked import asked, history, minute
from hypothesis import given
from hypothesis import strategies as st

from crunch_game import GameError, Row
from crunch_game.resolving import Never, Path, Price, Return

ROWS = {-1: 100.0, 5: 110.0, 10: 99.0, 15: 100.0}


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("price", [110.0, 99.0, 100.0]),
        ("change", [10.0, -11.0, 1.0]),
        ("return", [0.1, -0.1, 1 / 99]),
        ("log return", [math.log(1.1), math.log(0.9), math.log(100 / 99)]),
    ],
)
def test_a_number_for_each_step(kind, outcome):
    found = Path(kind=kind)(asked(15, step=300), history(ROWS))

    assert found == pytest.approx(outcome, rel=1e-14)


@pytest.mark.parametrize("path", [Path(), Path(step="5m"), Path(step=300), Path(step=timedelta(minutes=5))])
def test_the_step_is_an_argument_or_a_duration(path):
    given = {"step": 300} if path == Path() else {}
    assert path(asked(15, **given), history(ROWS)) == Path()(asked(15, step=300), history(ROWS))


@pytest.mark.parametrize("step", [7 * 60, 20 * 60, 1 / 3, 1e-9])
def test_a_step_that_does_not_divide_the_horizon_is_never(step):
    assert Path(step=step)(asked(15), history(ROWS)) == Never(
        f"the horizon of 900 s is no whole number of steps of {step:g} s"
    )


@pytest.mark.parametrize(
    ("prices", "outcome"),
    [
        ({}, None),
        ({0: 1.0, 5: 2.0, 10: 3.0, 14: 4.0}, None),
        ({0: 1.0, 5: 2.0, 10: 3.0, 15: None}, None),  # it may still come
        ({0: 1.0, 15: None}, None),  # and late rows that fill the gap
        ({-2: 1.0, 7: 2.0, 12: 3.0, 17: 4.0}, [1.0, 1.0, 1.0]),  # as late as is allowed
        ({0: 1.0, 5: None, 6: 2.0, 10: 3.0, 15: 4.0}, [1.0, 1.0, 1.0]),
        ({0: 1.0, 8: 2.0, 10: 3.0, 15: 4.0}, "from 2026-01-01 12:05:00 UTC to 2026-01-01 12:07:00 UTC"),
        ({0: 1.0, 5: 2.0, 10: None, 15: 4.0}, "from 2026-01-01 12:10:00 UTC to 2026-01-01 12:12:00 UTC"),
        ({0: 1.0, 5: 2.0, 10: 3.0, 18: 4.0}, "from 2026-01-01 12:15:00 UTC to 2026-01-01 12:17:00 UTC"),
        ({-3: 1.0, 5: 2.0, 10: 3.0, 15: 4.0}, "from 2026-01-01 11:58:00 UTC to 2026-01-01 12:00:00 UTC"),
    ],
)
def test_gaps_and_stale_prices(prices, outcome):
    found = Path(kind="change", max_age="2m")(asked(15, step=300), history(prices))

    if isinstance(outcome, str):
        assert isinstance(found, Never)
        assert outcome in found.reason
    else:
        assert found == outcome


@pytest.mark.parametrize("max_age", [None, "5m", "1h"])
def test_one_price_is_never_that_of_two_steps(max_age):
    """Else a silence would be a step without movement, and then a jump."""
    rows = history({0: 1.0, 10: 3.0, 15: 4.0})

    assert Path(kind="price", max_age=max_age)(asked(15, step=300), rows) == Never(
        "there is no price of BTC from 2026-01-01 12:05:00 UTC to 2026-01-01 12:09:59 UTC"
    )


def test_prices_alone_need_none_at_the_slot():
    assert Path(kind="price")(asked(10, step=300), history({5: 2.0, 10: 3.0})) == [2.0, 3.0]


def test_one_price_that_has_no_logarithm_makes_the_path_never():
    assert Path()(asked(15, step=300), history(ROWS | {10: -1.0})) == Never(
        "the price of BTC at 2026-01-01 12:10:00 UTC is -1: a log return needs one greater than 0"
    )


def test_late_rows_are_waited_for_and_corrections_count():
    path = Path(kind="price", wait="1m")
    assert path(asked(15, step=300), history(ROWS)) is None
    rows = history(ROWS | {16: 5.0}, Row(minute(10), {"BTC": 98.0}))
    assert path(asked(15, step=300), rows) == [110.0, 98.0, 100.0]


@given(st.lists(st.floats(1.0, 1000.0), min_size=2, max_size=30), st.randoms())
def test_the_steps_lead_to_where_the_return_leads(levels, chance):
    minutes = len(levels) - 1
    rows = [Row(minute(number), {"BTC": level}) for number, level in enumerate(levels)]
    chance.shuffle(rows)
    known, prediction = history({}, *rows), asked(minutes, step=60)

    changes = Path(kind="change")(prediction, known)

    assert changes == [later - earlier for earlier, later in pairwise(levels)]
    assert math.fsum(Path()(prediction, known)) == pytest.approx(Return()(prediction, known), abs=1e-12)
    assert Path(kind="price")(prediction, known)[-1] == Price()(prediction, known)


def test_what_is_wrong_is_told_where_it_stands():
    with pytest.raises(GameError, match="kind='log' is not one of 'price', 'change', 'return', 'log return'"):
        Path(kind="log")
    with pytest.raises(GameError, match=r"step 0 must be longer than zero"):
        Path(step=0)
    with pytest.raises(GameError, match=r"the step of predict 'step' is not a duration"):
        Path()(asked(15), history(ROWS))
    with pytest.raises(GameError, match=r"of='coin' is no argument"):
        Path("coin")(asked(15, step=60), history(ROWS))
    with pytest.raises(GameError, match="max_age 'soon' is not a duration"):
        Path(max_age="soon")
