"""The published coordinator's library, model-runner-client 0.14.0, against our orchestrator and our nodes."""

from __future__ import annotations

import json
import textwrap

import anyio
import pandas as pd
import pytest
from callers import PATIENCE, Ear

from crunch_game import Submission, events
from crunch_game.crunchdao.dev._deployment import Stage
from crunch_game.testing import SimulatedNetwork

pytestmark = [pytest.mark.processes, pytest.mark.anyio, pytest.mark.timeout(600)]

ECHO = """
import os
from arena import Base

class Mine(Base):
    def __init__(self, *args, **kwargs):
        self.made, self.heard = [list(args), kwargs], []

    def tick(self, data=None):
        self.heard.append(data)

    def predict(self, number):
        return {"number": number, "made": self.made, "heard": self.heard, "code": CODE}

    def measure(self, number=0, scale=1.0):
        return number * scale

    def take(self, value):
        match value:
            case str("exit"):
                raise SystemExit(3)
            case str("die"):
                os._exit(3)
            case str("raise"):
                raise ValueError("no idea")
        return value
"""


@pytest.fixture
def submission(tmp_path):
    """Write one version of a submission."""

    def write(model_id: str, code: int = 1, text: str = ECHO) -> Submission:
        folder = tmp_path / f"{model_id}-{code}"
        folder.mkdir()
        (folder / "main.py").write_text(f"CODE = {code}\n{textwrap.dedent(text)}")
        return Submission(model_id, folder, str(code))

    return write


@pytest.fixture
async def network():
    """A local network of the game "arena", and what it told."""
    ear = Ear()
    async with SimulatedNetwork("arena", "arena.Base", on_event=ear) as orchestrator:
        orchestrator.ear = ear
        yield orchestrator


async def test_models_are_ticked_and_asked(network, submission, peer):
    await network.join(submission("alice"))
    await network.join(submission("bob", 2))

    async with peer(network, args=[3], kwargs={"name": "x"}) as one:
        await one.until(alice="1", bob="2")
        assert await one.call("tick", {"BTC": [[1, 2.5]], "note": None}) == {
            "alice": ["SUCCESS", None, None],
            "bob": ["SUCCESS", None, None],
        }
        made, heard = [[3], {"name": "x"}], [{"BTC": [[1, 2.5]], "note": None}]
        assert await one.call("predict", 7) == {
            "alice": ["SUCCESS", {"number": 7, "made": made, "heard": heard, "code": 1}, None],
            "bob": ["SUCCESS", {"number": 7, "made": made, "heard": heard, "code": 2}, None],
        }


async def test_keyword_arguments_and_those_of_one_model(network, submission, peer):
    await network.join(submission("alice"))
    await network.join(submission("bob"))

    async with peer(network) as one:
        await one.until(alice="1", bob="1")
        asked = await one.call(
            "measure", kwargs={"number": 3, "unknown": 1}, per_model={"alice": {"scale": 2.0}, "bob": {"scale": 0.5}}
        )
        assert asked == {"alice": ["SUCCESS", 6.0, None], "bob": ["SUCCESS", 1.5, None]}


async def test_every_kind_of_value_goes_both_ways(network, submission, peer):
    await network.join(submission("alice"))
    values = [1.5, -7, "ünï", [1, [2.5, None]], {"a": {"b": []}}, "x" * (3 << 20)]

    async with peer(network) as one:
        await one.until(alice="1")
        for value in values:
            [(status, result, _)] = (await one.call("take", value)).values()
            assert status == "SUCCESS", network.models["alice"].last_note
            assert result == value


async def test_a_table_goes_both_ways_where_the_base_class_promises_one(submission, peer):
    table = pd.DataFrame({"price": [1.5, 2.5], "name": ["a", "ü"]})
    told = {"$table": table.to_json(orient="table", index=False)}

    async with SimulatedNetwork("arena", "sheets.Base") as network, peer(network, base="sheets.Base") as one:
        await network.join(submission("alice", text=ECHO.replace("arena", "sheets")))
        await one.until(alice="1")
        [(status, result, _)] = (await one.call("take", told)).values()
        assert status == "SUCCESS", network.models["alice"].last_note
        assert json.loads(result["$table"])["data"] == json.loads(told["$table"])["data"]


async def test_models_join_leave_and_are_replaced_under_its_eyes(network, submission, peer):
    async with peer(network) as one:
        await network.join(submission("alice"))
        await one.until(alice="1")
        await network.join(submission("bob"))
        await one.until(alice="1", bob="1")

        await network.replace(submission("alice", 2))
        await one.until(alice="2", bob="1")
        assert (await one.call("predict", 1))["alice"][1]["code"] == 2

        await network.leave("bob")
        await one.until(alice="2")
        assert (await one.call("predict", 1)).keys() == {"alice"}


async def test_a_model_that_dies_is_answered_and_recovers(network, submission, peer):
    await network.join(submission("alice"))
    await network.join(submission("bob"))

    async with peer(network) as one:
        await one.until(alice="1", bob="1")
        assert await one.call("take", "exit") == {
            "alice": ["FAILED", None, "FAILED"],
            "bob": ["FAILED", None, "FAILED"],
        }
        await one.call("tick", 1)
        per_model = {"alice": {"value": "die"}, "bob": {"value": "live"}}
        died = await one.call("take", per_model=per_model)
        # The peer leaves out a model whose connection it has just seen break.
        assert {"alice": ["FAILED", None, "FAILED"]} | died == {
            "alice": ["FAILED", None, "FAILED"],
            "bob": ["SUCCESS", "live", None],
        }

        await network.ear.next(events.ModelRestarted)
        heard = {}
        with anyio.fail_after(PATIENCE):
            while heard.keys() != {"alice", "bob"} or heard["alice"] != []:
                asked = await one.call("predict", 1)
                heard = {model: result["heard"] for model, (status, result, _) in asked.items() if status == "SUCCESS"}
        assert heard == {"alice": [], "bob": [1]}  # a fresh instance, and one that went on


async def test_a_killed_node_that_comes_back_elsewhere_plays_on(network, submission, peer):
    await network.join(submission("alice"))

    async with peer(network) as one:
        await one.until(alice="1")
        await network.kill("alice")
        assert (await one.call("predict", 1, timeout=0.5))["alice"][0] == "TIMEOUT"
        await network.recover("alice")
        with anyio.fail_after(PATIENCE):
            while (asked := await one.call("predict", 1, timeout=0.5)).get("alice", [""])[0] != "SUCCESS":
                pass
        assert asked["alice"][1]["heard"] == []


async def test_a_node_that_restarts_behind_the_same_port_says_that_it_must_be_set_up(network, submission, peer):
    await network.join(submission("alice"))

    async with peer(network) as one:
        await one.until(alice="1")
        await network.restart("alice")
        # Whoever uses that library stays with this: it does not set a node up again. See "What the peers get wrong".
        status, _, detail = (await one.call("predict", 1))["alice"]
        assert (status, detail) == ("FAILED", "Setup has not been called yet")


async def test_it_reports_a_model_that_cannot_be_loaded_and_the_model_is_stopped(network, submission, peer):
    await network.join(submission("alice"))
    await network.join(submission("broken", text="import nothing_of_that_name"))

    async with peer(network) as one:
        await one.until(alice="1")
        [report] = network.reports
        assert (report.model_id, report.failure_code) == ("broken", "BAD_IMPLEMENTATION")
        assert (await network.ear.next(events.ModelStopped)).model_id == "broken"
        assert network.models["broken"].stage is Stage.QUARANTINED


async def test_it_reports_a_model_that_fails_again_and_again(network, submission, peer):
    await network.join(submission("alice"))

    async with peer(network, options={"max_consecutive_failures": 2}) as one:
        await one.until(alice="1")
        for _ in range(3):
            assert (await one.call("take", "raise"))["alice"][0] == "FAILED"
        await one.until()
        assert (
            str(await network.ear.next(events.ModelStopped)) == "alice is stopped: MULTIPLE_FAILED: no reason was given"
        )


async def test_it_comes_back_to_an_orchestrator_that_was_away(network, submission, peer):
    await network.join(submission("alice"))

    async with peer(network) as one:
        await one.until(alice="1")
        await one.call("tick", 1)
        await network.restart(away=0.2)
        await network.join(submission("bob"))
        await one.until(alice="1", bob="1")
        heard = {model: result["heard"] for model, (_, result, _) in (await one.call("predict", 1)).items()}
        assert heard == {"alice": [1], "bob": []}


async def test_it_knows_the_names(network, submission, peer):
    named = submission("alice")
    await network.join(Submission("alice", named.source, "1", "Alice's"))

    async with peer(network) as one:
        await one.until(alice="1")
        assert await one.do("names") == {"alice": "Alice's"}


async def test_two_of_them_share_a_model(network, submission, peer):
    await network.join(submission("alice"))

    async with peer(network) as one, peer(network) as other:
        await one.until(alice="1")
        await other.until(alice="1")
        await one.call("tick", 1)
        await other.call("tick", 2)
        assert (await one.call("predict", 1))["alice"][1]["heard"] == [1, 2]
