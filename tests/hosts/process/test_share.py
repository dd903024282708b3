"""A model's share of the machine, as its environment tells libraries: one processor, and no children."""

from __future__ import annotations

from pathlib import Path

import pytest

from crunch_game import ModelRunner, Policy, ProcessHost, Sandbox, TrackerBase

pytestmark = [pytest.mark.anyio, pytest.mark.processes]

TELLS = """
import os
from crunch_game import TrackerBase

class Model(TrackerBase):
    def predict(self, *names):
        return [os.environ.get(name, "") for name in names]
"""
ASKED = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS", "LOKY_MAX_CPU_COUNT", "JOBLIB_MULTIPROCESSING")
HOSTS = {
    "the default": (ProcessHost(), ["1", "1", "1", "0"]),
    "where processes are allowed": (ProcessHost(sandbox=Sandbox(processes=True)), ["1", "1", "1", ""]),
    "without a sandbox": (ProcessHost(sandbox=None), ["1", "1", "1", ""]),
    "as the author says": (
        ProcessHost(env={"OMP_NUM_THREADS": "4", "JOBLIB_MULTIPROCESSING": "1"}),
        ["4", "1", "1", "1"],
    ),
}


@pytest.mark.parametrize(("host", "expected"), HOSTS.values(), ids=HOSTS)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_model_is_told_its_share_and_its_author_has_the_last_word(
    tmp_path: Path, host: ProcessHost, expected: list[str]
) -> None:
    (tmp_path / "model.py").write_text(TELLS)
    async with ModelRunner(
        TrackerBase, [tmp_path / "model.py"], host=host, policy=Policy(timeout=30), ready_timeout=30
    ) as runner:
        assert (await runner.predict(*ASKED))["model"].value == expected
