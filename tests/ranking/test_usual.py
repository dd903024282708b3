"""The usual loss: which rounds it reads, and that nobody but their readers is touched by a change."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crunch_game.ranking._usual import Moment, Usual

T0 = datetime(2024, 1, 1, tzinfo=UTC)
Known = dict[Moment, tuple[float | None, int]]


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def moment(hour: float, horizon: float = 1.0) -> Moment:
    return at(hour + horizon), at(hour)


def plainly(known: Known, of: Moment) -> float | None:
    order = sorted((each, entry, answers) for each, (entry, answers) in known.items() if entry is not None)
    past = [each for each in order if each[0][0] <= of[1]]
    if len(past) < 10:
        read = [each for each in order if each[0] <= of][:10]
    else:
        full = [each for each in past if each[2] >= 3]
        read = (full if len(full) >= 10 else past)[-30:]
    return float(sum(Fraction(entry) for _, entry, _ in read) / len(read)) if read else None


@pytest.mark.slow
@settings(max_examples=settings().max_examples // 4)
@given(st.integers(0, 2**32), st.integers(1, 110), st.sampled_from([0.02, 0.3, 0.9]), st.sampled_from([1.0, 3.5, 30.0]))
def test_a_change_touches_at_least_the_rounds_that_read_it(seed: int, hours: int, full: float, horizon: float) -> None:
    chance = random.Random(seed)
    usual, known = Usual(), Known()
    values = dict[Moment, float | None]()
    slots = sorted(range(hours), key=lambda hour: hour + (chance.random() * 80 if chance.random() < 0.3 else 0))
    for index, slot in enumerate([*slots, *chance.choices(slots, k=hours // 3)]):
        for old in [each for each in known if each[1] == at(slot)]:
            del known[old], values[old]
        touched = usual.drop(at(slot))
        if index < hours or chance.random() < 0.6:
            entry = None if chance.random() < 0.1 else chance.random()
            answers = 3 if chance.random() < full else 2
            new = moment(slot, horizon * chance.choice([1, 1, 2]))
            known[new] = (entry, answers)
            touched |= usual.put(new, entry, answers)
        for each in touched & known.keys():
            values[each] = usual.of(each)
        if index % 7 == 0 or index > hours:
            assert values == {each: plainly(known, each) for each in known}


@pytest.mark.parametrize("answers", [1, 3])
def test_once_ten_full_rounds_are_past_a_change_touches_the_round_and_thirty_later_ones(answers: int) -> None:
    usual = Usual()
    for hour in range(300):
        usual.put(moment(hour), float(hour), 3)
    before = {hour: usual.of(moment(hour)) for hour in range(300)}
    touched = usual.drop(at(150)) | usual.put(moment(150), 1e9, answers)
    changed = [hour for hour in range(300) if usual.of(moment(hour)) != before[hour]]
    assert changed == list(range(151, 181))
    assert {at(hour) for hour in (150, *changed)} <= {slot for _, slot in touched}
    assert len(touched) <= 33  # a few more are looked at, and found to be what they were


def test_a_new_round_touches_none_but_itself() -> None:
    usual = Usual()
    for hour in range(100):
        usual.put(moment(hour), float(hour), 3)
    assert usual.put(moment(100), 7.0, 3) == {moment(100)}


def test_it_is_the_mean_entry_of_the_last_thirty_that_had_resolved_at_the_slot() -> None:
    usual = Usual()
    for hour in range(60):
        usual.put(moment(hour, 5), float(hour), 3)
    assert usual.of(moment(59, 5)) == sum(range(25, 55)) / 30
    assert usual.of(moment(15, 5)) == sum(range(11)) / 11


def test_before_ten_are_past_the_first_ten_tell_with_the_round_itself() -> None:
    usual = Usual()
    for hour in range(60):
        usual.put(moment(hour, 24), float(hour), 3)
    assert [usual.of(moment(hour, 24)) for hour in (0, 1, 9, 10, 33)] == [0.0, 0.5, 4.5, 4.5, 4.5]
    assert usual.of(moment(34, 24)) == sum(range(11)) / 11


def test_rounds_of_one_or_two_answers_are_read_until_ten_full_ones_are_past() -> None:
    usual = Usual()
    for hour in range(50):
        usual.put(moment(hour), 1.0 if hour % 4 else 5.0, 2 if hour % 4 else 3)
    assert usual.of(moment(36)) == (23 * 1.0 + 7 * 5.0) / 30  # of those at 6 to 35, nine full ones being past
    assert usual.of(moment(37)) == 5.0  # that at 36 is the tenth


def test_rounds_without_an_entry_tell_nothing() -> None:
    usual = Usual()
    usual.put(moment(0), None, 5)
    assert usual.of(moment(0)) is None
    usual.put(moment(1), 3.0, 5)
    assert (usual.of(moment(0)), usual.of(moment(1))) == (None, 3.0)


def test_what_was_recalled_is_read_and_not_measured() -> None:
    played, recalled = Usual(), Usual()
    for hour in range(100):
        played.put(moment(hour), float(hour), 3)
    for hour in reversed(range(30, 80)):
        assert recalled.recall(moment(hour), float(hour), 3) == set()
    for hour in range(80, 100):
        recalled.put(moment(hour), float(hour), 3)
    assert recalled.recall(moment(90), 1e9, 3) == set()  # it has been put
    assert [played.of(moment(hour)) for hour in range(80, 101)] == [
        recalled.of(moment(hour)) for hour in range(80, 101)
    ]


def test_of_what_is_forgotten_as_much_is_kept_as_is_read_and_some_may_be_void() -> None:
    usual, whole = Usual(), Usual()
    for hour in range(1000):
        answers = 3 if hour % 5 == 0 else 1
        usual.put(moment(hour), float(hour), answers)
        whole.put(moment(hour), float(hour), answers)
    usual.forget([moment(hour) for hour in range(900)], at(900))
    assert len(usual._entries) <= 100 + 128
    for hour in range(860, 890):
        usual.drop(at(hour))
        whole.drop(at(hour))
    assert [usual.of(moment(hour)) for hour in range(900, 1000)] == [
        whole.of(moment(hour)) for hour in range(900, 1000)
    ]
