"""Standstill: told when a feed has had nothing newer for too long, at growing intervals, and when it goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from crunch_game.feeds import Standstill
from crunch_game.feeds.base import FeedMoves, FeedStands

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_it_is_told_at_growing_intervals_until_a_newer_row_comes():
    standstill = Standstill(60)
    told = {}
    for second in range(400):
        event = standstill.see(after(-5), after(second))
        if event is not None:
            told[second] = event

    assert told == {
        60: FeedStands(NOON, 60.0, after(-5)),
        120: FeedStands(NOON, 120.0, after(-5)),
        240: FeedStands(NOON, 240.0, after(-5)),
    }
    assert str(told[60]) == (
        "the feed stands still for 60 s, since 2024-01-01 12:00:00 UTC: its newest row is of 2024-01-01 11:59:55 UTC"
    )
    moves = standstill.see(after(400), after(401))
    assert moves == FeedMoves(NOON, 401.0)
    assert str(moves) == "the feed goes on: it stood still for 401 s, since 2024-01-01 12:00:00 UTC"
    assert standstill.see(after(400), after(402)) is None
    assert standstill.see(after(400), after(461)) == FeedStands(after(401), 60.0, after(400)), "all begins anew"


def test_a_feed_that_moves_in_time_is_never_told_of():
    standstill = Standstill(60)

    assert [standstill.see(after(second), after(second)) for second in range(0, 600, 59)] == [None] * 11


def test_an_older_row_is_no_move():
    standstill = Standstill(60)
    standstill.see(after(0), after(0))

    assert standstill.see(after(-1), after(61)) == FeedStands(NOON, 61.0, NOON)


def test_a_feed_without_any_row_stands_still():
    standstill = Standstill(60)

    assert standstill.due is None
    assert standstill.see(None, NOON) is None
    event = standstill.see(None, after(60))
    assert event == FeedStands(NOON, 60.0, None)
    assert str(event) == "the feed stands still for 60 s, since 2024-01-01 12:00:00 UTC: it had no row"


@given(st.floats(0.001, 1e5), st.lists(st.floats(0, 1e5), max_size=20))
def test_it_is_told_exactly_when_it_is_due(limit, waits):
    """So that whoever waits for rows can wait until then."""
    standstill, now = Standstill(limit), NOON
    standstill.see(NOON, now)
    for wait in waits:
        due, now = standstill.due, now + timedelta(seconds=wait)
        assert (standstill.see(NOON, now) is not None) == (now >= due)
        assert standstill.due > now
