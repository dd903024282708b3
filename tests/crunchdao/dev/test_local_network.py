"""Both sides of ours: a runner on the local network does what it does on a folder."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import textwrap
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import walk
from callers import EXIT_3, Ear

from crunch_game import Policy, Status, Submission, events
from crunch_game.crunchdao.client import CrunchRoster
from crunch_game.crunchdao.dev._deployment import Stage
from crunch_game.crunchdao.protocol import Announced
from crunch_game.testing import SimulatedNetwork

pytestmark = [pytest.mark.anyio, pytest.mark.processes]

CODE = """
import os
from arena import Base

class Mine(Base):
    def __init__(self, level=0):
        self.level, self.heard = level, []

    def tick(self, information=None):
        self.heard.append(information)

    def predict(self, renamed):
        if renamed == 13:
            raise ValueError("an unlucky number")
        return [renamed, self.level, len(self.heard), CODE]

    def measure(self, number=0):
        if number > 0:
            os._exit(number)
        if number < 0:
            return {1j}
        return 1.5
"""


@pytest.fixture
def submission(tmp_path):
    """Write one version of a submission."""

    def write(model_id: str, code: int = 1) -> Submission:
        file = tmp_path / f"{model_id}_{code}.py"
        file.write_text(f"CODE = {code}\n{textwrap.dedent(CODE)}")
        return Submission(model_id, file, str(code))

    return write


@pytest.fixture
async def network():
    """A local network of the game "arena"."""
    ear = Ear()
    async with SimulatedNetwork("arena", "arena.Base", on_event=ear) as orchestrator:
        orchestrator.ear = ear
        yield orchestrator


def values(played) -> dict:
    return {model_id: outcome.value for model_id, outcome in played.items()}


async def test_the_same_calls_have_the_same_outcomes_as_on_a_folder(network, submission, running):
    models = [submission("alice"), submission("bob", 2)]
    for model in models:
        await network.join(model)

    rounds = []
    for roster in (models, CrunchRoster("arena", port=network.port)):
        async with running(roster, "arena.Base", init_args=[7]) as runner:
            ticked = await runner.tick({"BTC": 1.5})
            asked = await runner.predict(3)
            unlucky = await runner.call("predict", number=13, models=["bob"])
            unsent = await runner.call("measure", number=-1, models=["bob"])
            own = await runner.call("predict", per_model=lambda model: {"number": len(model.id)})
            failed = [(played["bob"].status, played["bob"].error.message) for played in (unlucky, unsent)]
            rounds.append([values(ticked), values(asked), failed, values(own)])

    assert rounds[0] == rounds[1]
    assert [status for status, _ in rounds[0][2]] == [Status.RAISED, Status.INVALID]
    assert rounds[0][1] == {"alice": [3, 7, 1, 1], "bob": [3, 7, 1, 2]}


async def test_models_come_and_go_as_the_orchestrator_says(network, submission, running, log):
    await network.join(submission("alice"))

    async with running(CrunchRoster("arena", port=network.port), "arena.Base") as runner:
        await network.join(submission("bob"))
        await log.until(events.ModelReady, "bob")
        await runner.tick(1)
        await network.replace(submission("alice", 2))
        await log.until(events.ModelRedeployed, "alice")
        assert values(await runner.predict(3)) == {"alice": [3, 0, 0, 2], "bob": [3, 0, 1, 1]}
        await network.leave("bob")
        await log.until(events.ModelLeft, "bob")
        assert (await runner.predict(3)).keys() == {"alice"}


async def test_a_model_that_dies_plays_again_with_a_fresh_instance_and_its_history(network, submission, running, log):
    await network.join(submission("alice"))

    async with running(CrunchRoster("arena", port=network.port), "arena.Base") as runner:

        @runner.on_join
        async def replay(model, runner):
            await runner.tick("history", models=[model.id])

        died = (await runner.call("measure", 3))["alice"]
        if died.status is Status.SKIPPED:  # its recovery, which the orchestrator tells of, was here before the answer
            assert died.error.message.endswith(" s: its node is being recovered")
        elif (
            died.status is Status.UNREACHABLE
        ):  # so was the end of its connection, with what the orchestrator said of it
            assert died.error.message.endswith(EXIT_3)
        else:
            assert (died.status, died.error.message) == (Status.RAISED, "its process ended during measure: " + EXIT_3)
        await log.until(events.ModelReady, "alice", count=2)
        assert values(await runner.predict(3)) == {"alice": [3, 0, 1, 1]}


async def test_a_node_that_restarts_behind_the_same_port_is_set_up_again(network, submission, running, log):
    await network.join(submission("alice"))

    async with running(CrunchRoster("arena", port=network.port), "arena.Base") as runner:
        await runner.tick(1)
        await network.restart("alice")
        await log.until(events.ModelReady, "alice", count=2)
        assert values(await runner.predict(3)) == {"alice": [3, 0, 0, 1]}


async def test_a_model_at_its_limit_is_reported_stopped_and_quarantined_with_the_reason(network, submission, running):
    await network.join(submission("alice"))

    policy = Policy(timeout=10, max_consecutive_failures=2)
    async with running(CrunchRoster("arena", port=network.port), "arena.Base", policy=policy) as runner:
        for _ in range(2):
            await runner.predict(13)
        stopped = await network.ear.next(events.ModelStopped)

    assert network.models["alice"].stage is Stage.QUARANTINED
    assert "2 failures of predict in a row (the limit is 2)" in stopped.reason
    [report] = network.reports
    assert report.failure_code == "MULTIPLE_FAILED"


async def test_models_go_on_while_the_orchestrator_is_away(network, submission, running, log):
    await network.join(submission("alice"))

    async with running(CrunchRoster("arena", port=network.port), "arena.Base") as runner:
        await runner.tick(1)
        network.drop()
        await log.until(events.RosterLost)
        assert values(await runner.predict(3)) == {"alice": [3, 0, 1, 1]}
        await log.until(events.RosterFound)
        await network.restart(away=0.1)
        await network.join(submission("bob"))
        await log.until(events.ModelReady, "bob")
        assert values(await runner.predict(3)) == {"alice": [3, 0, 1, 1], "bob": [3, 0, 0, 1]}


async def test_a_node_in_a_process_of_its_own_is_killed_and_comes_back_behind_the_same_port(
    network, submission, running, log
):
    alice = submission("alice")
    async with AsyncExitStack() as stack:

        async def start(port: int = 0) -> tuple[asyncio.subprocess.Process, int]:
            program = Path(sys.executable).parent / "crunch-game"
            options = ("--base", "arena.Base", "--address", f"127.0.0.1:{port}")
            process = await asyncio.create_subprocess_exec(
                program,
                "node",
                alice.source,
                *options,
                stdout=asyncio.subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": str(Path(walk.__file__).parent)},
            )
            stack.push_async_callback(process.communicate)
            stack.callback(lambda: process.returncode is None and process.kill())
            return process, int(re.search(rb":(\d+)", await process.stdout.readline())[1])

        process, port = await start()
        network.announce(Announced("1", "alice", "RUNNING", "127.0.0.1", port, {"model_name": "Alice's"}))
        async with running(CrunchRoster("arena", port=network.port), "arena.Base") as runner:
            await runner.tick(1)
            assert values(await runner.predict(3)) == {"alice": [3, 0, 1, 1]}

            process.kill()
            await process.wait()
            lost = (await runner.predict(3))["alice"]
            assert lost.status is Status.UNREACHABLE
            await start(port)
            await log.until(events.ModelReady, "alice", count=2)
            assert values(await runner.predict(3)) == {"alice": [3, 0, 0, 1]}
            assert network.reports == []
