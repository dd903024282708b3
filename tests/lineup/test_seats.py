"""A seat and the instance that is introduced to it: two healths, each changed by one method only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import crunch_game
from crunch_game import Submission
from crunch_game.hosts.base import Instance
from crunch_game.lineup import Fresh, Seat
from crunch_game.policy import Health, State, Strikes, Trigger

PACKAGE = Path(crunch_game.__file__).parent


@pytest.fixture
def seat():
    seat = Seat(Submission("a", "nowhere", "v1"), 1.0)
    seat.take(Trigger.LOADED, 2.0, strikes={"tick": Strikes(failures=2)})
    return seat


def fresh(seat, deployment_id="v1"):
    submission = Submission("a", "nowhere", deployment_id)
    return Fresh(seat, submission, Instance(submission), 3.0)


def writers(file: Path) -> set[str]:
    """The functions of a file that write somebody's health, other than in making that somebody."""
    found = set()
    for function in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name != "__init__":
            stores = [node for node in ast.walk(function) if isinstance(getattr(node, "ctx", None), ast.Store)]
            if any(isinstance(node, ast.Attribute) and node.attr == "health" for node in stores):
                found.add(f"{file.relative_to(PACKAGE)}: {function.name}")
    return found


def test_one_method_writes_every_models_health():
    files = [file for file in PACKAGE.rglob("*.py") if "examples" not in file.parts]
    assert set().union(*map(writers, files)) == {"lineup/_seats.py: take"}


def test_the_health_of_a_seat_is_what_the_author_sees(seat):
    assert seat.model.health is seat.health
    assert seat.model.state is State.READY
    seat.take(Trigger.STOP, 4.0, "enough")
    assert (seat.model.state, seat.model.health.reason) == (State.STOPPED, "enough")
    assert seat.seat is seat


def test_an_instance_of_the_same_code_begins_with_the_strikes_of_the_seat(seat):
    newcomer = fresh(seat)
    assert newcomer.health == Health(State.READY, 3.0, {"tick": Strikes(failures=2)}, loaded=3.0)
    assert newcomer.entrance is Trigger.LOADED
    assert newcomer.deployment_id == "v1"


def test_new_code_begins_with_none(seat):
    newcomer = fresh(seat, "v2")
    assert newcomer.health.strikes == {}
    assert newcomer.entrance is Trigger.REDEPLOYED
    assert (newcomer.deployment_id, seat.deployment_id, newcomer.model.deployment_id) == ("v2", "v1", "v1")


def test_what_happens_to_a_fresh_instance_is_not_seen_in_the_game(seat):
    newcomer = fresh(seat)
    before = seat.health
    newcomer.take(Trigger.DIED, 4.0, "it died")
    assert newcomer.health.state is State.RESTARTING
    assert seat.health is before
    assert newcomer.model is seat.model


@pytest.mark.parametrize("event", sorted(Trigger))
def test_whatever_is_lost_on_the_way_leaves_a_hole_in_what_on_join_told(seat, event):
    newcomer = fresh(seat)
    newcomer.take(event, 4.0)
    assert newcomer.lost == (event in (Trigger.UNREACHED, Trigger.LOST, Trigger.FORGOTTEN))
