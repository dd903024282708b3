"""What the orchestrator is told of models that are out: the right code, the reason, and never the game's own fault."""

from __future__ import annotations

import asyncio
import json

import pytest
from nodes import free_port, node
from orchestra import orchestrator

from crunch_game import Policy
from crunch_game.crunchdao.client import CrunchRoster
from crunch_game.events import FieldFault, ModelLeft, ModelLoadFailed, ModelReady, ModelStopped, RosterFound, RosterLost
from crunch_game.policy import State

pytestmark = pytest.mark.anyio


class Tracker:
    def tick(self, payload, performance=None):
        pass

    def predict(self, asset="dove", step=1):
        return 1.0


class Broken(Tracker):
    def predict(self, asset="dove", step=1):
        raise ValueError("no idea")


class Slow(Tracker):
    async def predict(self, asset="dove", step=1):
        await asyncio.Event().wait()


def roster(there, **options) -> CrunchRoster:
    return CrunchRoster("bird-game", host="127.0.0.1", port=there.port, **options)


def report(model_id: str, code: str, reason: str) -> dict:
    data = [{"model_id": model_id, "failure_code": code, "failure_reason": reason, "ip": "127.0.0.1"}]
    return {"event": "report_failure", "data": data}


async def test_three_failures_are_reported_with_the_last_ones_text(running, log):
    async with orchestrator() as there, node(Broken) as alice:
        await there.run("alice", alice.port)
        async with running(roster(there)) as runner:
            for _ in range(3):
                assert there.reports == []
                await runner.tick({})  # which succeeds, and saves nobody
                await runner.predict()
            await there.until(lambda: there.reports)

            reason = "3 failures of predict in a row (the limit is 3); the last: The model raised an exception: no idea"
            assert there.reports == [report("alice", "MULTIPLE_FAILED", reason)]
            assert runner.models["alice"].state is State.STOPPED


async def test_three_timeouts_are_reported(running):
    async with orchestrator() as there, node(Slow) as alice:
        await there.run("alice", alice.port)
        async with running(roster(there)) as runner:
            for _ in range(3):
                await runner.call("predict", timeout=0.05)
            await there.until(lambda: there.reports)

            [told] = there.reports[0]["data"]
            assert told["failure_code"] == "MULTIPLE_TIMEOUT"
            assert told["failure_reason"].startswith("3 timeouts of predict in a row (the limit is 3); the last: ")


async def test_a_connection_that_stays_lost_is_reported(running):
    policy = Policy(timeout=5, unreachable_timeout=0.2)
    async with orchestrator() as there, node(Tracker) as alice:
        await there.run("alice", alice.port)
        async with running(roster(there), policy=policy):
            await alice.kill()
            await there.until(lambda: there.reports)

            [told] = there.reports[0]["data"]
            assert told["failure_code"] == "CONNECTION_FAILED"
            assert told["failure_reason"].startswith("its connection was lost for 0.2 s: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [(ImportError("No Inherited class found"), "BAD_IMPLEMENTATION"), (ValueError("no horizon"), "MULTIPLE_FAILED")],
)
async def test_a_model_that_cannot_be_made_is_reported(running, error, code):
    def fail():
        raise error

    async with orchestrator() as there, node(fail) as alice, running(roster(there)):
        await there.run("alice", alice.port)
        await there.until(lambda: there.reports)
        assert there.reports == [report("alice", code, str(error))]


async def test_a_node_that_never_listens_is_reported(running):
    async with orchestrator() as there, running(roster(there), policy=Policy(timeout=5, setup_timeout=0.2)):
        await there.run("alice", free_port())
        await there.until(lambda: there.reports)
        assert there.reports[0]["data"][0]["failure_code"] == "CONNECTION_FAILED"


async def test_a_model_that_the_author_stops_is_reported_unless_he_does_not_want_it(running, log):
    async with orchestrator() as there, node(Tracker) as alice, node(Tracker) as bob:
        await there.run("alice", alice.port)
        await there.run("bob", bob.port)
        async with running(roster(there)) as runner:
            await runner.stop("bob", "for now", report=False)
            await runner.stop("alice", "it copies the others")
            await there.until(lambda: there.reports)
            assert there.reports == [report("alice", "LOW_PERFORMANCE", "it copies the others")]


async def test_each_report_is_a_message_of_its_own(running):
    async with orchestrator() as there, node(Broken) as alice, node(Broken) as bob:
        await there.run("alice", alice.port)
        await there.run("bob", bob.port)
        async with running(roster(there), policy=Policy(timeout=5, max_consecutive_failures=1)) as runner:
            await runner.predict()
            await there.until(lambda: len(there.reports) == 2)
            assert sorted(told["data"][0]["model_id"] for told in there.reports) == ["alice", "bob"]


async def test_a_dry_run_never_reports(running, log):
    async with orchestrator() as there, node(Broken) as alice, node(Tracker) as bob:
        await there.run("alice", alice.port)
        await there.run("bob", bob.port)
        quiet = roster(there, report_failures=False)
        async with running(quiet, policy=Policy(timeout=5, max_consecutive_failures=1)) as runner:
            await runner.predict()
            await runner.stop("bob", "enough")
            assert runner.models["alice"].state is State.STOPPED
            await there.run("carol", alice.port)
            await log.until(ModelReady, "carol")  # whatever was sent before has arrived
    assert there.reports == []


async def test_a_fault_of_the_field_is_never_reported(running, log):
    async with orchestrator() as there, node(Broken) as alice, node(Broken) as bob:
        await there.run("alice", alice.port)
        await there.run("bob", bob.port)
        policy = Policy(timeout=5, max_consecutive_failures=1, field_fault_min=2)
        async with running(roster(there), policy=policy) as runner:
            for _ in range(3):
                await runner.predict()
            assert len(log.of(FieldFault)) == 3
            assert log.of(ModelStopped) == []
    assert there.reports == []


async def test_a_setup_that_fails_for_most_of_the_field_is_the_games_fault_and_not_reported(running, log):
    """For example a base class that the nodes do not have: the peers' quarantine everyone."""

    def fail():
        raise ImportError("No module named 'birds'")

    async with orchestrator() as there, node(fail) as bad, node(Tracker) as good:
        for name in ("alice", "bob", "carol", "dave"):
            await there.run(name, bad.port)
        await there.run("erin", good.port)
        async with running(roster(there), policy=Policy(timeout=5)):
            fault = await log.until(FieldFault)
            assert (fault.method, fault.failed, fault.asked) == ("setup", 4, 5)
            assert len(log.of(ModelLoadFailed)) == 4

            for name in ("frank", "gina", "hugo"):
                await there.run(name, good.port)
                await log.until(ModelReady, name)
            await there.run("ivan", bad.port)  # half of the field fails by now: this one is on its own
            await there.until(lambda: there.reports)
            assert there.reports == [report("ivan", "BAD_IMPLEMENTATION", "No module named 'birds'")]


async def test_an_authors_hook_that_raises_is_never_reported(running, log):
    async with orchestrator() as there, node(Tracker) as alice:
        await there.run("alice", alice.port)
        runner = running(roster(there))

        @runner.on_join
        async def fail(model, runner):
            raise KeyError("history")

        async with runner:
            await log.until(ModelLoadFailed, "alice")
    assert there.reports == []


def unmade():
    raise ImportError("No Inherited class found")


async def never():
    await asyncio.Event().wait()


async def test_an_authors_hook_that_raises_for_one_model_keeps_no_other_from_being_reported(running, log):
    async with orchestrator() as there, node(Tracker) as alice, node(unmade) as bob:
        await there.run("alice", alice.port)
        runner = running(roster(there))

        @runner.on_join
        async def fail(model, runner):
            raise KeyError("history")

        async with runner:
            await log.until(ModelLoadFailed, "alice")
            await there.run("bob", bob.port)
            await there.until(lambda: there.reports)
            assert there.reports == [report("bob", "BAD_IMPLEMENTATION", "No Inherited class found")]


@pytest.mark.parametrize("ended", ["stopped", "recovering"])
async def test_a_first_load_that_is_not_gone_on_with_keeps_no_other_from_being_reported(running, log, ended):
    async with orchestrator() as there, node(never) as alice, node(unmade) as bob:
        await there.run("alice", alice.port)
        await there.run("bob", bob.port)
        async with running(roster(there), ready_timeout=0) as runner:
            await log.until(ModelLoadFailed, "bob")
            assert there.reports == []
            if ended == "stopped":
                await runner.stop("alice", "for now", report=False)
            else:
                await there.recover("alice")
            await there.until(lambda: there.reports)
            assert there.reports == [report("bob", "BAD_IMPLEMENTATION", "No Inherited class found")]


async def test_what_is_reported_while_the_orchestrator_is_away_waits_and_is_dropped_when_it_is_no_longer_true(
    running, log
):
    async with orchestrator() as there, node(Broken) as alice, node(Broken) as bob:
        await there.run("alice", alice.port)
        await there.run("bob", bob.port)
        async with running(roster(there), policy=Policy(timeout=5, max_consecutive_failures=1)) as runner:
            await there.close()
            await log.until(RosterLost)
            await runner.predict()
            assert len(log.of(ModelStopped)) == 2
            del there.running["bob", "d1"]  # it has other code by now
            await there.start()
            await there.until(lambda: there.reports)
            await log.until(ModelLeft, "bob")
            assert [told["data"][0]["model_id"] for told in there.reports] == ["alice"]


async def test_the_old_codes_stop_is_not_held_against_the_new(running, log):
    gate = asyncio.Event()

    async def slowly():
        await gate.wait()
        return Tracker()

    async with orchestrator() as there, node(Broken) as old, node(slowly) as new:
        await there.run("alice", old.port, "d1")
        async with running(roster(there), policy=Policy(timeout=5, max_consecutive_failures=1)) as runner:
            await there.run("alice", new.port, "d2")
            await there.until(lambda: True)
            while not new.setups and not new.busy.locked():  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.005)
            await runner.predict()
            await log.until(ModelStopped, "alice")
            gate.set()
            await log.until(ModelReady, "alice", 2)
            assert (await runner.predict()).succeeded
    assert there.reports == []


# What is long is cut: an orchestrator closes the connection at a message of more than 1 MiB, and does nothing.


class Talkative(Tracker):
    def predict(self, asset="dove", step=1):
        raise ValueError("no idea, " * 350_000)


async def test_a_model_that_raises_with_megabytes_is_reported_with_what_fits(running, log):
    async with orchestrator() as there, node(Talkative) as alice:
        await there.run("alice", alice.port)
        async with running(roster(there), policy=Policy(timeout=10, max_consecutive_failures=1)) as runner:
            fault = (await runner.predict())["alice"].error
            await there.until(lambda: there.reports)

            [told] = there.reports[0]["data"]
            assert told["failure_code"] == "MULTIPLE_FAILED"
            assert "no idea, no idea" in told["failure_reason"]
            assert "\n[...]\n" in told["failure_reason"]
            assert len(json.dumps(there.reports[0])) < 2**19
            assert len(fault.message) < 10_000
        assert there.connected == 1
        assert log.of(RosterLost) == []


def long_failure():
    raise ValueError("no horizon, " * 300_000)


async def test_a_model_that_cannot_be_made_with_megabytes_is_reported_with_what_fits(running, log):
    async with orchestrator() as there, node(long_failure) as alice, running(roster(there)):
        await there.run("alice", alice.port)
        assert len((await log.until(ModelLoadFailed, "alice")).fault.message) < 10_000
        await there.until(lambda: there.reports)
        assert len(json.dumps(there.reports[0])) < 2**19


async def test_an_author_may_have_any_reason(running, log):
    async with orchestrator() as there, node(Tracker) as alice:
        await there.run("alice", alice.port)
        async with running(roster(there)) as runner:
            await runner.stop("alice", "it copies \ud800 the others, " * 100_000)
            await there.until(lambda: there.reports)
    [told] = there.reports[0]["data"]
    assert told["failure_reason"].startswith("it copies \\ud800 the others, it copies")
    assert "\n[...]\n" in told["failure_reason"]


async def test_a_model_whose_report_can_never_fit_is_told_of_here_and_the_others_are_reported(running, log, caplog):
    long = "a" * 2**20
    async with orchestrator() as there, node(Tracker) as alice, node(Tracker) as bob:
        await there.run("bob", bob.port)
        async with running(roster(there)) as runner:
            for socket in there._sockets:
                socket.max_size = None
            await there.run(long, alice.port)
            await log.until(ModelReady, long)
            await runner.stop(long, "enough")
            await runner.stop("bob", "enough")
            await there.until(lambda: there.reports)
    assert there.reports == [report("bob", "LOW_PERFORMANCE", "enough")]
    assert [
        text for text in caplog.messages if "cannot be reported" in text and "its id or address is too long" in text
    ]


# A report is sent until it has done something.


async def test_an_orchestrator_that_died_before_it_acted_is_told_again(running, log):
    async with orchestrator() as there, node(Broken) as alice, node(Tracker) as bob:
        await there.run("alice", alice.port)
        await there.run("bob", bob.port)
        async with running(roster(there), policy=Policy(timeout=5, max_consecutive_failures=1)) as runner:
            await runner.predict()
            await there.until(lambda: there.reports)
            await there.close()
            await log.until(RosterLost)
            await there.start()
            await log.until(RosterFound)
            await there.until(lambda: len(there.reports) == 2)
            assert there.reports[0] == there.reports[1]
            assert runner.models["alice"].state is State.STOPPED
            assert runner.models["bob"].state is State.READY


@pytest.fixture
def _soon(monkeypatch):
    """Reports are repeated soon."""
    monkeypatch.setattr("crunch_game.crunchdao.client._reports.FIRST_PAUSE_SECONDS", 0.02)


def reported(there, model_id: str) -> int:
    return sum(told["data"][0]["model_id"] == model_id for told in there.reports)


@pytest.mark.usefixtures("_soon")
async def test_a_report_is_repeated_until_its_deployment_is_no_longer_announced(running, log, caplog):
    async with orchestrator() as there, node(Tracker) as alice, node(Tracker) as bob:
        await there.run("alice", alice.port)
        await there.run("bob", bob.port)
        async with running(roster(there)) as runner:
            await runner.stop("alice", "enough")
            await there.until(lambda: reported(there, "alice") == 3)
            await there.stop("alice")
            await log.until(ModelLeft, "alice")
            before = reported(there, "alice")
            await runner.stop("bob", "enough")
            await there.until(lambda: reported(there, "bob") == 4)  # by then alice would have been reported again
            assert reported(there, "alice") == before
    told = [text for text in caplog.messages if "still announces alice" in text]
    assert told == [
        f"the orchestrator at ws://127.0.0.1:{there.port}/bird-game still announces alice, which was reported as "
        "LOW_PERFORMANCE; it is told again, ever later"
    ]


@pytest.mark.usefixtures("_soon")
async def test_a_model_that_is_readmitted_or_replaced_is_reported_no_more(running, log):
    async with orchestrator() as there, node(Tracker) as alice, node(Tracker) as bob, node(Tracker) as carol:
        for name, its in (("alice", alice), ("bob", bob), ("carol", carol)):
            await there.run(name, its.port)
        async with running(roster(there)) as runner:
            for name in ("alice", "bob"):
                await runner.stop(name, "enough")
            await there.until(lambda: reported(there, "alice") and reported(there, "bob"))
            await runner.readmit("alice")
            await there.run("bob", carol.port, "d2")
            await log.until(ModelReady, "alice", 2)
            await log.until(ModelReady, "bob", 2)
            before = [reported(there, name) for name in ("alice", "bob")]
            await runner.stop("carol", "enough")
            await there.until(lambda: reported(there, "carol") == 5)  # by then they would have been reported again
            assert [reported(there, name) for name in ("alice", "bob")] == before


async def test_what_is_reported_last_is_reported_before_the_game_ends(running):
    async with orchestrator() as there, node(Broken) as alice:
        await there.run("alice", alice.port)
        async with running(roster(there), policy=Policy(timeout=5, max_consecutive_failures=1)) as runner:
            await runner.predict()
        await there.until(lambda: there.reports)
        assert reported(there, "alice") == 1


# Who could not be reached is tried again when the orchestrator comes back.


async def test_a_node_that_could_not_be_reached_is_tried_again_on_a_new_init(running, log):
    async with orchestrator() as there:
        port = free_port()
        await there.run("alice", port)
        async with running(roster(there), policy=Policy(timeout=5, setup_timeout=0.3)) as runner:
            await there.until(lambda: there.reports)
            assert there.reports[0]["data"][0]["failure_code"] == "CONNECTION_FAILED"
            assert runner.models["alice"].state is State.FAILED
            async with node(Tracker, port):
                await there.close()
                await log.until(RosterLost)
                await there.start()
                await log.until(ModelReady, "alice")
                assert (await runner.predict())["alice"].value == 1.0
    assert len(there.reports) == 1


async def test_a_node_that_was_lost_for_too_long_is_tried_again_on_a_new_init(running, log):
    policy = Policy(timeout=5, unreachable_timeout=0.2)
    async with orchestrator() as there, node(Tracker) as alice:
        await there.run("alice", alice.port)
        async with running(roster(there), policy=policy) as runner:
            await alice.kill()
            await there.until(lambda: there.reports)
            assert runner.models["alice"].state is State.STOPPED
            await alice.start()
            await there.close()
            await log.until(RosterLost)
            await there.start()
            await log.until(ModelReady, "alice", 2)
            assert (await runner.predict())["alice"].value == 1.0
    assert len(there.reports) == 1


async def test_a_field_that_could_not_be_reached_is_tried_again_though_nobody_was_reported(running, log):
    policy = Policy(timeout=5, setup_timeout=0.3, field_fault_min=2)
    async with orchestrator() as there:
        ports = {"alice": free_port(), "bob": free_port()}
        for name, port in ports.items():
            await there.run(name, port)
        async with running(roster(there), policy=policy) as runner:
            await log.until(FieldFault)
            async with node(Tracker, ports["alice"]), node(Tracker, ports["bob"]):
                await there.close()
                await log.until(RosterLost)
                await there.start()
                for name in ports:
                    await log.until(ModelReady, name)
                assert len((await runner.predict()).succeeded) == 2
    assert there.reports == []


async def test_whoever_failed_by_himself_is_not_tried_again_on_a_new_init(running, log):
    async with orchestrator() as there, node(Broken) as alice, node(unmade) as bob:
        await there.run("alice", alice.port)
        await there.run("bob", bob.port)
        async with running(roster(there), policy=Policy(timeout=5, max_consecutive_failures=1)) as runner:
            await runner.predict()
            await there.until(lambda: len(there.reports) == 2)
            await there.close()
            await log.until(RosterLost)
            await there.start()
            await there.until(lambda: len(there.reports) == 4)
            assert [runner.models[name].state for name in ("alice", "bob")] == [State.STOPPED, State.FAILED]
            assert (len(alice.setups), len(bob.setups)) == (1, 1)
