"""birdgame 0.3.1's own example trackers, as they are on PyPI, on a node and locally: the same predictions."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import re
import sys
from pathlib import Path

import peers
import pytest
from callers import Caller, answer, said

pytestmark = [pytest.mark.processes, pytest.mark.anyio, pytest.mark.timeout(1800)]

BASE = "birdgame.trackers.trackerbase.TrackerBase"
EXAMPLES = ["ewmatracker", "gmmtracker", "mixturetracker", "quantileregtracker", "volscaledgmmtracker"]
"""Those that need no more than scikit-learn; the others fit in threads of their own, by the clock."""
TICKS = 150
"""More than the 100 after which the slowest of them predicts by what it has seen."""


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder that birdgame lies in."""
    python = peers.python_with("birdgame")
    return next((python.parents[1] / "lib").glob("python3.*/site-packages"))


def flight() -> list[dict]:
    """A dove and falcons that watch it, with a jump now and then."""
    chance, dove, time, rows = random.Random(3), 9_000.0, 100.0, []
    for _ in range(TICKS):
        time += chance.expovariate(2.0)
        dove += chance.gauss(0, 0.01) + (chance.gauss(0, 1) if chance.random() < 0.02 else 0.0)
        falcon = dove + 0.05 * math.sin(time)
        rows.append({"time": time, "falcon_location": falcon, "dove_location": dove, "falcon_id": chance.randrange(9)})
    return rows


async def run(site: Path, *command: str | Path) -> asyncio.subprocess.Process:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")  # many would only wait for each other
    environment = os.environ | threads | {"PYTHONPATH": str(site)}
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=environment)


async def played_on_a_node(site: Path, submission: Path, rows: list[dict]) -> list:
    program = Path(sys.executable).parent / "crunch-game"
    node = await run(site, program, "node", submission, "--base", BASE, "--address", "127.0.0.1:0")
    try:
        port = int(re.search(rb":(\d+)", await node.stdout.readline())[1])
        predictions = []
        async with Caller(port) as caller:
            assert said(await caller.setup(BASE, horizon=3)) == ("SUCCESS", "Instance created successfully")
            for row in rows:
                assert answer(await caller.call("tick", row, {})) is None
                predictions.append(answer(await caller.call("predict")))
        return predictions
    finally:
        node.terminate()
        await node.communicate()


async def played_locally(site: Path, submissions: list[Path], rows: list[dict], tmp_path: Path) -> dict[str, list]:
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(rows))
    process = await run(site, sys.executable, Path(__file__).with_name("bird_match.py"), file, *submissions)
    stdout, _ = await process.communicate()
    assert process.returncode == 0
    rounds = [json.loads(line) for line in stdout.splitlines()]
    return {submission.stem: [played[submission.stem] for played in rounds] for submission in submissions}


async def test_the_examples_predict_the_same_on_a_node_and_locally(site, tmp_path):
    rows = flight()
    submissions = [site / "birdgame" / "examples" / "derived" / f"{name}.py" for name in EXAMPLES]

    *played, locally = await asyncio.gather(
        *(played_on_a_node(site, each, rows) for each in submissions),
        played_locally(site, submissions, rows, tmp_path),
    )

    on_nodes = dict(zip(EXAMPLES, played, strict=True))
    assert {name: len(predictions) for name, predictions in on_nodes.items()} == dict.fromkeys(EXAMPLES, TICKS)
    assert on_nodes == locally
    for name, predictions in on_nodes.items():
        kinds = {prediction["type"] for prediction in predictions if prediction is not None}
        assert kinds <= {"mixture", "builtin", "scipy"}, name
        assert len({json.dumps(prediction) for prediction in predictions}) > TICKS / 2, name  # they do look
