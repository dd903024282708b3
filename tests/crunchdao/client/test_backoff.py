"""Waits between attempts to connect."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crunch_game.crunchdao.client._backoff import MAX_SECONDS, MIN_SECONDS, delay


def test_waits_begin_with_a_tenth_of_a_second_and_grow_to_at_most_half_of_one():
    assert delay(0, lambda: 0.0) == MIN_SECONDS == 0.1
    assert max(delay(attempt, lambda: 1.0) for attempt in range(50)) == MAX_SECONDS == 0.5


@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_a_later_wait_is_never_shorter_and_no_two_clients_are_in_step(attempt, one, other):
    assert MIN_SECONDS <= delay(attempt, lambda: one) <= MAX_SECONDS
    assert delay(attempt, lambda: one) <= delay(attempt + 1, lambda: one)
    assert (delay(attempt, lambda: 0.0), delay(attempt, lambda: 1.0)) == (
        delay(attempt, lambda: 0.0),
        delay(attempt, lambda: 0.0) * 1.25,
    )
