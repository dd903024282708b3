"""The game's clock: the wall clock without its mistakes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from crunch_game.workers.predicting._clock import WallClock

T0 = datetime(2026, 1, 1, tzinfo=UTC)


class Machine:
    """Its wall clock can be set, its other one cannot."""

    def __init__(self) -> None:
        self.off = timedelta(0)
        self.seconds = 1000.0
        self.clock = WallClock(self.wall, lambda: self.seconds)

    def wall(self) -> datetime:
        return T0 + timedelta(seconds=self.seconds) + self.off


def test_an_hour_ahead_for_half_a_second_is_no_hour():
    machine = Machine()
    before = machine.clock.now()
    machine.off = timedelta(hours=1)
    assert machine.clock.adopted() is None
    machine.seconds += 0.5
    assert machine.clock.now() == before + timedelta(seconds=0.5)
    machine.off = timedelta(0)
    machine.seconds += 100
    assert machine.clock.adopted() is None
    assert machine.clock.now() == machine.wall()


def test_a_step_that_lasts_a_minute_is_adopted_once():
    machine = Machine()
    machine.off = timedelta(hours=-2)
    assert machine.clock.adopted() is None
    machine.seconds += 59.9
    assert machine.clock.adopted() is None
    machine.seconds += 0.1
    assert machine.clock.adopted() == timedelta(hours=-2)
    assert machine.clock.now() == machine.wall()
    assert machine.clock.adopted() is None


def test_a_step_upon_a_step_begins_its_minute_anew():
    machine = Machine()
    machine.off = timedelta(hours=1)
    assert machine.clock.adopted() is None
    machine.seconds += 50
    machine.off = timedelta(hours=3)
    assert machine.clock.adopted() is None
    machine.seconds += 50
    assert machine.clock.adopted() is None
    machine.seconds += 10
    assert machine.clock.adopted() == timedelta(hours=3)


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(-100_000, 100_000)), max_size=60))
def test_it_never_goes_back_but_by_what_it_has_adopted(steps):
    machine = Machine()
    last = machine.clock.now()
    for passed, off in steps:
        machine.seconds += passed
        machine.off = timedelta(seconds=off)
        adopted = machine.clock.adopted()
        now = machine.clock.now()
        assert now >= last + (adopted or timedelta(0))
        last = now


def test_a_row_that_agrees_with_the_wall_clock_proves_this_one_wrong():
    """As after a pause of a whole virtual machine, in which every clock of it stood still."""
    machine = Machine()
    machine.off = timedelta(hours=1)
    assert machine.clock.adopted(machine.wall() + timedelta(days=1)) is None, "that row is from the future all the same"
    assert machine.clock.adopted(machine.wall() + timedelta(seconds=0.5)) == timedelta(hours=1)
    assert machine.clock.now() == machine.wall()
    assert machine.clock.adopted(machine.wall()) is None
