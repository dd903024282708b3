"""When a prediction is due: each slot once, whatever is restarted, and what went by is counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game._schedule import Due, due, next_slot

T0 = datetime(2024, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

everies = st.sampled_from([0.001, 0.1, 0.3, 1 / 3, 1.0, 15.0, 60.0, 3600.0, 86_400.0]) | st.integers(1, 10**6).map(
    lambda thousandths: thousandths / 1000
)
moments = st.integers(-3 * 10**14, 4 * 10**15).map(lambda since: EPOCH + timedelta(microseconds=since))
steps = st.lists(st.floats(0, 5), max_size=30)


def slot_of(every: float, time: datetime) -> int:
    """Which whole multiple of `every`, in microseconds since 1970, a moment is in."""
    return round((time - EPOCH) / timedelta(microseconds=1)) // round(every * 1_000_000)


def play(every: float, times: list[datetime], last: datetime | None = None) -> list[tuple[datetime, Due]]:
    played = []
    for now in times:
        found = due(every, last, now)
        if found is not None:
            played.append((now, found))
            last = now
    return played


def walk(every: float, start: datetime, lengths: list[float]) -> list[datetime]:
    times = [start]
    for length in lengths:
        times.append(times[-1] + timedelta(seconds=length * every))
    return times


@given(everies, moments, steps)
def test_each_slot_is_played_once_at_its_first_occasion(every, start, lengths):
    times = walk(every, start, lengths)
    firsts = list({slot_of(every, now): now for now in reversed(times)}.values())[::-1]
    assert [now for now, _ in play(every, times)] == firsts


@given(everies, moments, steps)
def test_what_was_missed_is_counted(every, start, lengths):
    times = walk(every, start, lengths)
    played = play(every, times)
    slots = slot_of(every, times[-1]) - slot_of(every, times[0]) + 1
    assert len(played) + sum(found.missed for _, found in played) == slots
    assert played[0][1].missed == 0


@given(everies, moments, steps, st.data())
def test_a_restart_changes_nothing(every, start, lengths, data):
    times = walk(every, start, lengths)
    cut = data.draw(st.integers(1, len(times)))
    before = play(every, times[:cut])
    after = play(every, times[cut:], before[-1][0])
    assert before + after == play(every, times)


@given(everies, moments, steps)
def test_a_round_is_late_after_a_tenth_of_its_slot(every, start, lengths):
    for index, (now, found) in enumerate(play(every, walk(every, start, lengths))):
        behind = (now - found.slot).total_seconds()
        assert 0 <= behind < round(every, 6)
        assert slot_of(every, found.slot) == slot_of(every, now)
        if index == 0:
            assert found.late == 0.0
        else:
            assert found.late == (behind if behind > 0.1 * every else 0.0)


@given(everies, moments, moments)
def test_a_round_is_due_after_the_time_that_is_told_and_not_before(every, last, now):
    wait = next_slot(every, last, now)
    if due(every, last, now) is not None:
        assert wait == 0.0
        return
    assert wait > 0
    microsecond = timedelta(microseconds=1)
    begins = now + timedelta(seconds=wait)
    assert due(every, last, begins + microsecond) is not None
    assert due(every, last, begins - microsecond) is None


@given(everies, moments)
def test_nothing_is_due_again_when_the_clock_goes_back(every, now):
    assert due(every, now, now - timedelta(seconds=every)) is None
    assert next_slot(every, now, now - timedelta(seconds=every)) >= round(every, 6)


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        (None, 30, Due(T0, 0.0, 0)),
        (0, 59, None),
        (0, 60, Due(T0 + timedelta(minutes=60), 0.0, 0)),
        (0, 66, Due(T0 + timedelta(minutes=60), 0.0, 0)),
        (0, 67, Due(T0 + timedelta(minutes=60), 420.0, 0)),
        (0, 240, Due(T0 + timedelta(minutes=240), 0.0, 3)),
        (59, 60, Due(T0 + timedelta(minutes=60), 0.0, 0)),
    ],
)
def test_an_hourly_round(last, now, expected):
    minute = timedelta(minutes=1)
    assert due(3600.0, None if last is None else T0 + last * minute, T0 + now * minute) == expected
