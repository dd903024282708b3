"""The roster that follows from frames, in whatever order they come, is the one that the orchestrator has."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.crunchdao.client._connection import address_of
from crunch_game.crunchdao.client._roster import Announcements
from crunch_game.crunchdao.protocol import Announced, IncomingFrame
from crunch_game.models import Submission
from crunch_game.sources import NodeSource


def one(deployment: str, state: str = "RUNNING", model: str = "alice", **other: Any) -> Announced:
    return Announced(deployment, model, state, **{"ip": "10.0.0.1", "port": 50051, **other})


def playing(*announced: Announced) -> dict[str, str]:
    announcements = Announcements()
    announcements.init([])
    for change in announced:
        announcements.update([change])
    return {model_id: submission.deployment_id for model_id, submission in announcements.snapshot().items()}


def test_the_new_deployment_plays_though_the_old_is_stopped_after_it():
    assert playing(one("d1"), one("d2"), one("d1", "STOPPED"), one("d1", "STOPPED", ip="localhost", port=0)) == {
        "alice": "d2"
    }


def test_the_old_deployment_plays_on_when_the_new_is_stopped():
    assert playing(one("d1"), one("d2"), one("d2", "STOPPED")) == {"alice": "d1"}


def test_names_that_change_of_an_old_deployment_do_not_bring_it_back():
    assert playing(one("d1"), one("d2"), one("d1", infos={"model_name": "x"})) == {"alice": "d2"}


def test_what_is_stopped_twice_is_stopped():
    assert playing(one("d1"), one("d1", "STOPPED"), one("d1", "STOPPED")) == {}


def test_what_recovers_is_away_where_it_was_and_keeps_its_names():
    announcements = Announcements()
    announcements.update([one("d1", infos={"model_name": "Alice"})])
    announcements.update([one("d1", "RECOVERING", ip=None, port=0)])
    submission = announcements.snapshot()["alice"]
    assert (submission.away, submission.source, submission.name) == (True, NodeSource("10.0.0.1", 50051), "Alice")

    announcements.update([one("d1", port="6000")])
    submission = announcements.snapshot()["alice"]
    assert (submission.away, submission.source) == (False, NodeSource("10.0.0.1", 6000))


def test_what_recovers_and_was_never_known_is_none_of_ours():
    assert playing(one("d1", "RECOVERING")) == {}


states = st.sampled_from(["RUNNING", "STOPPED", "RECOVERING"])
changes = st.lists(
    st.builds(one, st.sampled_from(["d1", "d2", "d3"]), states, st.sampled_from(["alice", "bob"])), max_size=30
)


@given(changes, changes)
def test_init_is_the_truth_whatever_came_before(before, running):
    running = [announced for announced in running if announced.state == "RUNNING"]
    long, short = Announcements(), Announcements()
    long.update(before)
    for announcements in (long, short):
        announcements.init(running)
    assert long.snapshot() == short.snapshot()


@given(changes)
def test_only_what_was_started_and_not_stopped_since_plays(history):
    alive: dict[tuple[str, str], None] = {}
    for change in history:
        key = change.model_id, change.deployment_id
        if change.state == "RUNNING":
            alive[key] = None
        elif change.state == "STOPPED":
            alive.pop(key, None)
    announcements = Announcements()
    announcements.update(history)

    assert announcements.snapshot().keys() == {model_id for model_id, _ in alive}
    for model_id, submission in announcements.snapshot().items():
        assert (model_id, submission.deployment_id) in alive
        assert announcements.playing(model_id).deployment_id == submission.deployment_id


def test_a_frame_is_read_entry_by_entry():
    unread: list[str] = []
    frame = IncomingFrame.read(
        json.dumps({"event": "init", "data": [{"model_id": 1}, msgspec.to_builtins(one("d1")), 7], "more": 1})
    )

    assert frame.announced(unread.append) == [one("d1")]
    assert [text[:15] for text in unread] == ['{"model_id": 1}', "7: Expected `ob"]


@pytest.mark.parametrize(
    ("source", "address"),
    [("localhost:1", ("localhost", 1)), ("[::1]:65535", ("::1", 65535)), ("10.0.0.1:50051", ("10.0.0.1", 50051))],
)
def test_an_address_is_a_host_and_a_port(source, address):
    assert address_of(Submission("a", source)) == address


@pytest.mark.parametrize("source", ["localhost", ":1", "localhost:", "localhost:0", "localhost:65536", "localhost:x"])
def test_what_is_no_address_says_so(source):
    with pytest.raises(ValueError, match='the address of a model node is "host:port"'):
        address_of(Submission("a", source))


def test_an_ipv6_address_is_announced_bare():
    assert address_of(one("d1", ip="fd00::1").submission) == ("fd00::1", 50051)
