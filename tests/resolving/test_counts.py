"""Count: what happened between the slot and the horizon."""

from __future__ import annotations

import pytest
from asked import asked, history, minute

from crunch_game import GameError, Row
from crunch_game.resolving import Count, Never

HIGH = Count(lambda row, prediction: row.prices.get(prediction.arguments["asset"], 0.0) > 100)


@pytest.mark.parametrize(
    ("prices", "outcome"),
    [
        ({}, None),
        ({0: 200.0, 5: 200.0}, None),
        ({0: 200.0, 1: 200.0, 2: 50.0, 10: 200.0, 11: 200.0}, 2),  # after the slot, up to the horizon and with it
        ({-5: 50.0, 3: None, 12: 50.0}, 0),
    ],
)
def test_how_many_rows_are_events(prices, outcome):
    assert HIGH(asked(), history(prices)) == outcome


@pytest.mark.parametrize(
    ("prices", "reason"),
    [
        ({1: 200.0, 10: 50.0}, "there is no row at or before 2026-01-01 12:00:00 UTC: events may be missing"),
        ({-5: 50.0, 12: 50.0}, "there is no row from 2026-01-01 11:55:00 to 2026-01-01 12:12:00 UTC: events may be"),
        ({0: 50.0, 4: 50.0, 10.5: 50.0}, "there is no row from 2026-01-01 12:04:00 to 2026-01-01 12:10:30 UTC: events"),
    ],
)
def test_a_silence_is_not_taken_for_nothing(prices, reason):
    found = Count(HIGH.where, max_age="6m")(asked(), history(prices))

    assert isinstance(found, Never)
    assert found.reason.startswith(reason)


def test_by_default_a_silence_is_as_long_as_the_horizon():
    assert HIGH(asked(), history({0: 50.0, 10: 200.0})) == 1
    assert isinstance(HIGH(asked(), history({0: 50.0, 10.01: 200.0})), Never)
    assert Count(HIGH.where, max_age="1d")(asked(), history({-60: 50.0, 60: 200.0})) == 0


def test_late_rows_are_waited_for_and_a_correction_counts_once():
    count = Count(HIGH.where, wait="5m")
    assert count(asked(), history({0: 50.0, 10: 200.0, 14: 50.0})) is None
    again = Row(minute(10), {"BTC": 300.0})
    assert count(asked(), history({0: 50.0, 10: 200.0, 15: 50.0}, again, again)) == 1


def test_what_is_wrong_is_told_where_it_stands():
    with pytest.raises(GameError, match="where is 'trade'; give a function"):
        Count("trade")
    with pytest.raises(GameError, match="max_age 'soon' is not a duration"):
        Count(HIGH.where, max_age="soon")
