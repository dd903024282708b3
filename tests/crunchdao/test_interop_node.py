"""Our runner against the published crunch-model-runner 0.4.2, each node in a process of its own."""

from __future__ import annotations

import asyncio
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import peers
import pytest
from nodes import PeerNode
from orchestra import orchestrator

from crunch_game import Contract, Policy
from crunch_game.crunchdao.client import CrunchRoster
from crunch_game.events import (
    LoopBlocked,
    ModelLeft,
    ModelLoadFailed,
    ModelReady,
    ModelRedeployed,
    ModelRestarted,
    ModelStopped,
)
from crunch_game.outcomes import Status
from crunch_game.policy import State, Strikes

pytestmark = [pytest.mark.anyio, pytest.mark.processes, pytest.mark.timeout(1800)]
"""The first test sets the node's environment up, which takes its time."""

GAMES = Path(__file__).parents[1] / "games"

PLAIN = """
from birds import TrackerBase

class Tracker(TrackerBase):
    def __init__(self, horizon=3):
        super().__init__(horizon)
        self.seen = []
    def tick(self, data, performance=None):
        self.seen.append(data if performance is None else [data, performance])
    def predict(self, bird="dove", step=1):
        return len(self.seen) + step / 10
    def describe(self):
        return {"seen": self.seen, "horizon": self.horizon}
    def measure(self, table):
        return table.assign(y=table["x"] * 2)
    def anything(self, *args, **kwargs):
        return [list(args), kwargs]
"""


@pytest.fixture(scope="session")
def peer_python() -> Path:
    """The interpreter that has the published node."""
    return peers.python_with("node")


@pytest.fixture
def peer_node(peer_python, tmp_path):
    """Start a published node with this code."""
    started: list[PeerNode] = []

    def start(code: str = PLAIN, port: int = 0) -> PeerNode:
        folder = tmp_path / f"code-{len(started)}"
        folder.mkdir()
        (folder / "main.py").write_text(textwrap.dedent(code))
        one = PeerNode(peer_python, folder, GAMES, port)
        started.append(one)
        one.start()
        return one

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def playing(running):
    """A runner that follows the orchestrator."""

    def make(there, **options):
        options.setdefault("ready_timeout", 60.0)
        return running(CrunchRoster("bird-game", host="127.0.0.1", port=there.port), **options)

    return make


async def test_a_game_is_played_as_it_is_locally(playing, peer_node):
    async with orchestrator() as there:
        await there.run("alice", peer_node().port)
        await there.run("bob", peer_node().port)
        base = Contract("birds.TrackerBase", returns={"measure": pd.DataFrame})
        async with playing(there, base=base, init_args=[7]) as runner:
            played = await runner.tick({"price": 1.5, "book": [[1, 2.5]]})
            assert len(played.succeeded) == 2
            await runner.tick({"price": 2.5}, per_model=lambda model: {"performance": {"me": model.id}})

            assert {name: outcome.value for name, outcome in (await runner.predict("crow", 4)).items()} == {
                "alice": 2.4,
                "bob": 2.4,
            }
            assert (await runner.predict(asset="crow", step=5))["alice"].value == 2.5
            assert (await runner.call("describe"))["bob"].value == {
                "seen": [{"price": 1.5, "book": [[1, 2.5]]}, [{"price": 2.5}, {"me": "bob"}]],
                "horizon": 7,
            }

            table = pd.DataFrame({"x": [1.5, 2.5], "s": ["a", "b"]}, index=pd.Index(["p", "q"], name="who"))
            answer = (await runner.call("measure", table))["alice"].value
            pd.testing.assert_frame_equal(answer, table.assign(y=table["x"] * 2))


async def test_values_of_every_kind_arrive(playing, peer_node):
    async with orchestrator() as there:
        await there.run("alice", peer_node().port)
        async with playing(there) as runner:
            values = [None, True, 2**62, -0.5, "é", (1, 2), np.float32(0.5), np.arange(3), {"k": [None]}]
            [[*positional], named] = (await runner.call("anything", *values))["alice"].value

            assert positional == [None, True, 2**62, -0.5, "é", [1, 2], 0.5, [0, 1, 2], {"k": [None]}]
            assert named == {}


async def test_models_join_leave_and_are_replaced(playing, peer_node, log):
    async with orchestrator() as there, playing(there) as runner:
        await there.run("alice", peer_node().port)  # its process lives; it does not listen yet
        await log.until(ModelReady, "alice")
        assert (await runner.predict())["alice"].value == 0.1

        newer = PLAIN.replace("step / 10", "step * 100")
        await there.run("alice", peer_node(newer).port, "d2")
        await there.stop("alice", "d1")
        await log.until(ModelRedeployed, "alice")
        assert (await runner.predict())["alice"].value == 100.0

        await there.stop("alice", "d2")
        await log.until(ModelLeft, "alice")
        assert dict(await runner.predict()) == {}


async def test_a_node_that_is_killed_and_restarted_behind_its_port_is_told_its_history_again(
    playing, peer_node, log, seen
):
    async with orchestrator() as there:
        alice = peer_node()
        await there.run("alice", alice.port)
        runner = playing(there)

        @runner.on_join
        async def replay(model, runner):
            await runner.call("tick", {"replayed": 1}, models=[model.id])

        async with runner:
            await runner.tick({"price": 1.0})
            alice.kill()
            await seen(lambda: runner.models["alice"].state is State.UNREACHABLE)
            assert (await runner.predict())["alice"].status is Status.UNREACHABLE

            alice.start()
            await log.until(ModelReady, "alice", 2)
            assert (await runner.call("describe"))["alice"].value["seen"] == [{"replayed": 1}]
            assert runner.models["alice"].health.strikes == {}
            assert len(log.of(ModelRestarted)) == 1
    assert there.reports == []


async def test_a_coordinator_that_is_started_again_finds_its_models_as_they_were(playing, peer_node):
    async with orchestrator() as there:
        await there.run("alice", peer_node().port)
        async with playing(there) as runner:
            await runner.tick({"price": 1.0})
        async with playing(there) as runner:
            assert (await runner.call("describe"))["alice"].value["seen"] == [{"price": 1.0}]


async def test_what_a_model_does_wrong_is_told_with_its_reason(playing, peer_node):
    code = """
    import numpy, sys
    from birds import TrackerBase

    class Tracker(TrackerBase):
        def predict(self, bird="dove", step=1):
            if bird == "raise": raise ValueError("no idea")
            if bird == "numpy": return numpy.int64(3)
            if bird == "array": return {"x": numpy.arange(3)}
            if bird == "text": return "up"
            if bird == "exit": sys.exit(3)
            return 1.0
    """
    cases = {
        "raise": (Status.RAISED, "The model raised an exception: no idea"),
        "numpy": (
            Status.INVALID,
            "it returned numpy.int64, which its node cannot send; return a float, int, str, list, dict or DataFrame",
        ),
        "array": (Status.INVALID, "it returned something that JSON cannot hold (Object of type ndarray is not JSON"),
        "text": (Status.INVALID, "the answer does not fit predict's contract: "),
    }
    async with orchestrator() as there:
        await there.run("alice", peer_node(code).port)
        async with playing(there, policy=Policy(timeout=10, max_consecutive_failures=9)) as runner:
            for bird, (status, told) in cases.items():
                outcome = (await runner.predict(bird))["alice"]
                assert outcome.status is status
                assert outcome.error.message.startswith(told)
            assert runner.models["alice"].health.strikes == {"predict": Strikes(failures=4)}

            outcome = (await runner.call("predict", "exit", timeout=0.5))["alice"]
            assert outcome.status is Status.TIMEOUT  # the node never answers, but it is free again
            assert (await runner.predict())["alice"].value == 1.0


async def test_a_model_that_takes_fewer_arguments_plays_on_when_the_game_grows(playing, peer_node):
    code = """
    from birds import TrackerBase

    class Tracker(TrackerBase):
        def tick(self, data): self.data = data
        def predict(self): return self.data["price"]
    """
    async with orchestrator() as there:
        await there.run("alice", peer_node(code).port)
        async with playing(there) as runner:
            assert (await runner.tick({"price": 1.5}, {"score": 1.0}))["alice"].status is Status.OK
            assert (await runner.predict("crow", step=2))["alice"].value == 1.5
            assert (await runner.call("describe"))["alice"].status is Status.OK
            assert runner.models["alice"].health.strikes == {}


async def test_code_that_cannot_be_loaded_is_reported_with_its_reason(playing, peer_node, log):
    async with orchestrator() as there, playing(there):
        await there.run("alice", peer_node("x = 1").port)
        failed = await log.until(ModelLoadFailed, "alice")
        assert failed.fault.message == "No Inherited class found from <class 'birds.TrackerBase'>."
        await there.until(lambda: there.reports)
        [told] = there.reports[0]["data"]
        assert (told["failure_code"], told["failure_reason"]) == ("BAD_IMPLEMENTATION", failed.fault.message)


SLOW = """
import time
from birds import TrackerBase

class Tracker(TrackerBase):
    def predict(self, bird="dove", step=1):
        time.sleep(step / 10)
        return float(step)
"""


async def test_a_hiccup_costs_one_strike_and_no_tick(playing, peer_node, log):
    """The peers' client skips calls then, counts what it skipped, and removes the model for good."""
    async with orchestrator() as there:
        await there.run("alice", peer_node(SLOW).port)
        async with playing(there) as runner:
            assert (await runner.call("predict", step=12, timeout=0.3))["alice"].status is Status.TIMEOUT
            for _ in range(5):
                assert (await runner.tick({}))["alice"].status is Status.OK
                assert (await runner.predict(step=1))["alice"].value == 1.0
            assert runner.models["alice"].health.strikes == {}
            assert log.of(ModelStopped) == []


async def test_nobody_pays_for_a_loop_that_the_author_blocks(playing, peer_node, log):
    async with orchestrator() as there:
        await there.run("alice", peer_node(SLOW).port)
        async with playing(there) as runner:
            await runner.predict(step=1)
            asked = asyncio.create_task(runner.call("predict", step=2, timeout=0.5))
            asyncio.get_running_loop().call_later(0.1, time.sleep, 1.5)

            assert (await asked)["alice"].status is Status.OK
            assert log.of(LoopBlocked)[0].seconds > 0.5
