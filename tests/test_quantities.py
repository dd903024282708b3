"""Durations as people write them, and the sentences for those that are none."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game._quantities import described, seconds
from crunch_game.errors import GameError


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (1, 1.0),
        (0.25, 0.25),
        (timedelta(minutes=5), 300.0),
        ("250ms", 0.25),
        ("90s", 90.0),
        ("5m", 300.0),
        ("5min", 300.0),
        ("1h", 3600.0),
        ("1.5 h", 5400.0),
        (" 7d ", 604800.0),
        ("2w", 1209600.0),
    ],
)
def test_a_duration_is_seconds(duration, expected):
    read = seconds(duration)

    assert read == expected
    assert type(read) is float


@given(st.integers(1, 10**6), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]))
def test_text_is_its_number_times_its_unit(number, unit):
    name, size = unit
    assert seconds(f"{number}{name}") == pytest.approx(number * size)


@pytest.mark.parametrize("text", ["", "h", "1", "1 hour", "1h30m", "-1h", "1e3s", "1.s", ".5s", "1H"])
def test_text_that_is_no_duration_is_refused(text):
    with pytest.raises(GameError) as caught:
        seconds(text, "every")
    assert str(caught.value) == (
        f'every {text!r} is not a duration; write seconds, or text such as "90s", "1h" or "7d"'
    )


@pytest.mark.parametrize("thing", [True, None, b"1h", [1]])
def test_another_thing_is_refused(thing):
    with pytest.raises(GameError) as caught:
        seconds(thing, "horizon")
    assert str(caught.value) == (
        f'horizon {thing!r} is not a duration; write seconds, a timedelta, or text such as "1h"'
    )


@pytest.mark.parametrize("duration", [0, -1, float("nan"), float("inf"), timedelta(0), "0s", "9" * 400 + "d"])
def test_it_is_longer_than_zero_and_finite(duration):
    with pytest.raises(GameError) as caught:
        seconds(duration)
    assert str(caught.value) == f"duration {duration!r} must be longer than zero and finite"


class Thing:
    def __repr__(self):
        raise RuntimeError("a repr is somebody else's code")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (Thing, "the class Thing"),
        (Thing(), "an instance of Thing"),
        (math, "the module math"),
        (math.tau, "6.283185307179586"),
        (lambda: None, "the function <lambda>"),
        ("x.csv", "'x.csv'"),
        (None, "None"),
        ({"timeout": 1}, "{'timeout': 1}"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, ...]"),
    ],
)
def test_what_was_given_is_told_in_a_few_words(given, shown):
    assert described(given) == shown
