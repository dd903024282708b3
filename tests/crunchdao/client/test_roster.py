"""The orchestrator's events become joins, leaves and redeployments, whatever gets lost on the way."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
import trio
from nodes import free_port, node
from orchestra import Orchestrator, orchestrator

from crunch_game import GameError, ModelRunner, Policy, UsageError
from crunch_game.crunchdao.client import CrunchRoster
from crunch_game.events import (
    ModelJoined,
    ModelLeft,
    ModelLoadFailed,
    ModelReady,
    ModelRedeployed,
    ModelRestarted,
    ModelStopped,
    RosterFound,
    RosterLost,
)
from crunch_game.outcomes import Status
from crunch_game.policy import State, Strikes

pytestmark = pytest.mark.anyio


class Tracker:
    def __init__(self, horizon=3):
        self.seen = []

    def tick(self, payload, performance=None):
        self.seen.append(payload)

    def predict(self, asset="dove", step=1):
        return len(self.seen) + step / 10


class Newer(Tracker):
    def predict(self, asset="dove", step=1):
        return 100.0


def roster(there: Orchestrator, crunch_id: str = "bird-game", **options) -> CrunchRoster:
    return CrunchRoster(crunch_id, host="127.0.0.1", port=there.port, **options)


async def test_a_model_that_runs_joins_and_is_asked_and_leaves_when_it_is_stopped(running, log):
    async with orchestrator() as there, node(Tracker) as alice:
        await there.run("alice", alice.port)
        async with running(roster(there)) as runner:
            assert (await runner.tick({"price": 1.5}))["alice"].status is Status.OK
            assert (await runner.predict("dove", 2))["alice"].value == 1.2
            assert runner.models["alice"].name == "Alice"
            assert runner.models["alice"].info["cruncher_id"] == "c"

            await there.stop("alice")
            await log.until(ModelLeft, "alice")

            assert dict(await runner.predict()) == {}
            assert "alice" not in runner.models


async def test_a_model_that_joins_later_plays_once_its_node_listens(running, log):
    """RUNNING says that the process lives, not that it listens yet."""
    port = free_port()
    async with orchestrator() as there, running(roster(there)) as runner:
        await there.run("alice", str(port))  # ports are announced as text too
        await log.until(ModelJoined, "alice")
        skipped = (await runner.predict())["alice"]
        assert (skipped.status, skipped.error.kind) == (Status.SKIPPED, "joining")

        async with node(Tracker, port):
            await log.until(ModelReady, "alice")
            assert (await runner.predict())["alice"].value == 0.1


async def test_new_code_takes_over_though_the_old_is_stopped_after_it(running, log):
    async with orchestrator() as there, node(Tracker) as old, node(Newer) as new:
        await there.run("alice", old.port, "d1")
        async with running(roster(there)) as runner:
            await there.run("alice", new.port, "d2")
            await there.stop("alice", "d1")
            await log.until(ModelRedeployed, "alice")

            assert (await runner.predict())["alice"].value == 100.0
            assert runner.models["alice"].deployment_id == "d2"
            assert log.of(ModelLeft) == []


async def test_the_old_code_plays_on_when_the_new_is_stopped_at_once(running, log):
    asked = asyncio.Event()

    async def never():
        asked.set()
        await asyncio.Event().wait()

    async with orchestrator() as there, node(Tracker) as old, node(never) as new:
        await there.run("alice", old.port, "d1")
        async with running(roster(there)) as runner:
            await runner.tick({"price": 1.0})
            await there.run("alice", new.port, "d2")
            await asked.wait()
            await there.stop("alice", "d2")
            await log.until(ModelReady, "alice", 2)

            assert (await runner.predict())["alice"].value == 1.1
            assert runner.models["alice"].deployment_id == "d1"
            assert old.rests == 0


def unmade():
    raise ImportError("No Inherited class found")


@pytest.mark.parametrize("first", ["the old is stopped", "the new fails"])
@pytest.mark.parametrize("old_is", ["there still", "gone"])
async def test_when_the_new_code_fails_what_was_stopped_for_it_is_asked_no_more(running, log, seen, first, old_is):
    gate = asyncio.Event()

    async def fail():
        await gate.wait()
        unmade()

    async with orchestrator() as there, node(Tracker) as old, node(fail) as new, node(Tracker) as bob:
        await there.run("alice", old.port, "d1")
        await there.run("bob", bob.port)
        async with running(roster(there)) as runner:
            await there.run("alice", new.port, "d2")
            if first == "the new fails":
                gate.set()
                await log.until(ModelLoadFailed, "alice")
                assert (await runner.tick({}))["alice"].status is Status.OK  # the old plays on
            if old_is == "gone":
                await old.kill()
                await seen(lambda: runner.models["alice"].state is State.UNREACHABLE)
            await there.stop("alice", "d1")
            await there.run("carol", bob.port)
            await log.until(ModelJoined, "carol")  # whatever was said before is known
            gate.set()
            await log.until(ModelLoadFailed, "alice")
            asked = len(old.calls)

            played = await runner.tick({})
            assert (played["alice"].status, played["bob"].status) == (Status.SKIPPED, Status.OK)
            assert played["alice"].error.message == "it could not be loaded: No Inherited class found"
            assert runner.models["alice"].state is State.FAILED
            assert runner.models["alice"].deployment_id == "d2"
            assert len(old.calls) == asked


async def test_the_old_code_plays_on_when_the_new_fails_and_it_still_runs(running, log):
    async with orchestrator() as there, node(Tracker) as old, node(unmade) as new:
        await there.run("alice", old.port, "d1")
        async with running(roster(there)) as runner:
            await there.run("alice", new.port, "d2")
            await log.until(ModelLoadFailed, "alice")
            assert (await runner.predict())["alice"].value == 0.1
            await there.stop("alice", "d2")
            await log.until(ModelReady, "alice", 2)
            assert (await runner.predict())["alice"].value == 0.1
            assert runner.models["alice"].deployment_id == "d1"


async def test_when_only_names_change_nothing_is_loaded_again(running, log, seen):
    async with orchestrator() as there, node(Tracker) as alice:
        await there.run("alice", alice.port)
        async with running(roster(there)) as runner:
            await there.run("alice", alice.port, model_name="Alicia", cruncher_name="Ada")
            await seen(lambda: runner.models["alice"].name == "Alicia")

            assert runner.models["alice"].info["cruncher_name"] == "Ada"
            assert len(alice.setups) == 1
            assert len(log.of(ModelReady)) == 1


async def test_a_model_that_is_recovered_comes_back_afresh_with_its_strikes(running, log, seen):
    class Moody(Tracker):
        def predict(self, asset="dove", step=1):
            raise ValueError("not today")

    async with orchestrator() as there, node(Moody) as first, node(Tracker) as second:
        await there.run("alice", first.port)
        async with running(roster(there)) as runner:
            await runner.predict()
            await there.recover("alice")
            await seen(lambda: runner.models["alice"].state is State.UNREACHABLE)
            away = (await runner.predict())["alice"]
            assert away.status is Status.UNREACHABLE
            assert "its node is being recovered" in away.error.message

            await there.run("alice", second.port)
            await log.until(ModelReady, "alice", 2)

            assert runner.models["alice"].health.strikes == {"predict": Strikes(failures=1)}
            assert (await runner.tick({}))["alice"].status is Status.OK
            assert len(log.of(ModelRestarted, "alice")) == 1
            assert there.reports == []


async def test_a_recovery_is_waited_for_however_long_it_takes(running, log, seen):
    policy = Policy(timeout=5, unreachable_timeout=0.05)
    async with orchestrator() as there, node(Tracker) as alice:
        await there.run("alice", alice.port)
        async with running(roster(there), policy=policy) as runner:
            await there.recover("alice")
            await seen(lambda: runner.models["alice"].state is State.UNREACHABLE)
            await asyncio.sleep(0.3)  # several times what a lost connection is waited for

            await there.run("alice", alice.port)
            await log.until(ModelReady, "alice", 2)
            assert log.of(ModelStopped) == []


async def test_a_model_that_moves_is_found_where_it_is(running, log):
    async with orchestrator() as there, node(Tracker) as here, node(Newer) as elsewhere:
        await there.run("alice", here.port)
        async with running(roster(there)) as runner:
            await there.run("alice", elsewhere.port)
            await log.until(ModelReady, "alice", 2)

            assert (await runner.predict())["alice"].value == 100.0


# The orchestrator goes away, and comes back.


async def test_models_play_on_while_the_orchestrator_is_away(running, log):
    async with orchestrator() as there, node(Tracker) as alice:
        await there.run("alice", alice.port)
        async with running(roster(there)) as runner:
            await there.close()
            lost = await log.until(RosterLost)
            assert f"ws://127.0.0.1:{there.port}/bird-game" in lost.reason

            for number in range(1, 4):
                assert (await runner.tick({}))["alice"].status is Status.OK
                assert (await runner.predict())["alice"].value == number + 0.1
            assert log.of(ModelLeft) == []

            await there.start()
            await log.until(RosterFound)
            assert (await runner.predict())["alice"].value == 3.1
            assert len(alice.setups) == 1  # nothing was set up again
            assert len(log.of(RosterLost)) == 1


async def test_after_a_reconnect_init_is_the_truth(running, log):
    async with orchestrator() as there, node(Tracker) as alice, node(Tracker) as bob, node(Newer) as carol:
        await there.run("alice", alice.port)
        await there.run("bob", bob.port)
        async with running(roster(there)) as runner:
            await there.close()
            await log.until(RosterLost)
            del there.running["alice", "d1"]  # its frames are lost
            await there.run("carol", carol.port)
            began = time.monotonic()
            await there.start()
            await log.until(ModelLeft, "alice")
            await log.until(ModelReady, "carol")
            took = time.monotonic() - began

            assert set(await runner.predict()) == {"bob", "carol"}
            assert took < 5 * WHOLE_AGAIN


WHOLE_AGAIN = 1.0
"""Seconds in which a roster is whole again; five times that is a blind window, and not a slow machine."""


async def test_the_orchestrator_may_come_later_than_the_game(running, log):
    there = Orchestrator()
    there.port = free_port()
    async with node(Tracker) as alice:

        async def come() -> None:
            await log.until(RosterLost)
            await there.run("alice", alice.port)
            await there.start()

        coming = asyncio.create_task(come())
        async with running(roster(there)) as runner:
            await log.until(ModelReady, "alice")
            assert (await runner.predict())["alice"].status is Status.OK
        await coming
        await there.close()


async def test_a_game_begins_without_the_orchestrator_if_it_must(running, log, monkeypatch):
    monkeypatch.setattr("crunch_game.crunchdao.client._roster._FIRST_FRAME_TIMEOUT", 0.1)
    there = Orchestrator()
    there.port = free_port()
    async with running(roster(there)) as runner:
        assert dict(await runner.predict()) == {}
        assert len(log.of(RosterLost)) == 1


async def test_a_game_ends_though_the_orchestrator_does_not_say_goodbye(running):
    async with orchestrator() as there:
        async with running(roster(there)):
            for socket in there._sockets:
                socket.transport.pause_reading()
            began = time.monotonic()
        took = time.monotonic() - began
        for socket in there._sockets:
            socket.transport.abort()
    assert took < 20 * GOODBYE


GOODBYE = 0.25
"""Seconds that an orchestrator has for it; twenty times that is half of what the library would wait, and not a slow
machine."""


# What else an orchestrator says.


async def test_an_unknown_crunch_id_is_one_warning_that_names_it(running, log, caplog):
    async with orchestrator("bird-game") as there, node(Tracker) as alice:
        await there.run("alice", alice.port)
        async with running(roster(there, "brid-game")) as runner:
            await there.close()
            await log.until(RosterLost)
            await there.start()
            await log.until(RosterFound)
            assert dict(await runner.predict()) == {}

    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"the orchestrator at ws://127.0.0.1:{there.port}/brid-game runs no model for the crunch id 'brid-game'; "
        "is the id right?"
    ]


async def test_a_crunch_id_that_the_orchestrator_refuses_ends_the_game(running):
    async with orchestrator() as there:
        refusing = roster(there)
        refusing.url = f"ws://127.0.0.1:{there.port}/"
        with pytest.raises(GameError, match="refuses the crunch id 'bird-game': crunch_id is required"):
            await running(refusing).__aenter__()


def test_an_empty_crunch_id_is_refused_at_once():
    with pytest.raises(GameError, match="the crunch id is empty"):
        CrunchRoster("")


def test_a_crunch_id_may_have_any_characters():
    assert CrunchRoster("bird game/2", host="::1").url == "ws://[::1]:9091/bird%20game%2F2"


async def test_what_cannot_be_read_is_told_and_the_rest_is_taken(running, log, caplog):
    async with orchestrator() as there, node(Tracker) as alice, running(roster(there)) as runner:
        await there.say("no json")
        await there.say(json.dumps({"event": "news", "data": [1]}))
        await there.say(json.dumps({"event": "update", "data": [{"model_id": 3}]}))
        await there.announce({"model_id": "zoe", "deployment_id": "d", "state": "PONDERING", "ip": None, "port": None})
        await there.announce({"model_id": "bad"})
        await there.run("alice", alice.port)
        await log.until(ModelReady, "alice")

        assert set(await runner.predict()) == {"alice"}
        told = [record.getMessage() for record in caplog.records if "cannot be read" in record.getMessage()]
        assert len(told) == 3
        assert told[1].endswith('{"model_id": 3}: Expected `str`, got `int` - at `$.model_id`')


async def test_a_model_that_runs_nowhere_says_so(running, log):
    async with orchestrator() as there:
        await there.run("alice", 0)
        async with running(roster(there)) as runner:
            fault = (await runner.predict())["alice"].error
            assert "its source is '127.0.0.1:0'; the address of a model node is \"host:port\"" in fault.message


def test_trio_is_told_that_asyncio_is_needed():
    with pytest.raises(UsageError, match="need asyncio, because gRPC does"):
        trio.run(ModelRunner("birds.TrackerBase", CrunchRoster("bird-game")).__aenter__)


async def test_a_move_whose_frames_are_lost_is_found_in_the_next_init(running, log, seen):
    async with orchestrator() as there, node(Tracker) as here, node(Newer) as elsewhere:
        await there.run("alice", here.port)
        async with running(roster(there)) as runner:
            await there.close()
            await here.kill()
            await seen(lambda: runner.models["alice"].state is State.UNREACHABLE)
            await there.run("alice", elsewhere.port)
            await there.start()
            await log.until(ModelReady, "alice", 2)

            assert (await runner.predict())["alice"].value == 100.0
            assert [str(event.fault) for event in log.of(ModelRestarted)] == ["its node is back"]


async def test_a_node_that_could_not_be_reached_is_tried_again_where_it_moves(running, log):
    async with orchestrator() as there, node(Tracker) as alice:
        await there.run("alice", free_port())
        policy = Policy(timeout=5, setup_timeout=0.3)
        async with running(roster(there, report_failures=False), policy=policy) as runner:
            await log.until(ModelLoadFailed, "alice")
            await there.run("alice", alice.port)
            await log.until(ModelReady, "alice")
            assert (await runner.predict())["alice"].status is Status.OK
