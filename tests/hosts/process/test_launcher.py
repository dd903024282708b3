"""What of the coordinator's environment reaches models: nothing secret, and whatever decides how they compute."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from crunch_game import ModelRunner, Policy, ProcessHost, TrackerBase

pytestmark = [pytest.mark.anyio, pytest.mark.processes]

TELLS = """
import os
from crunch_game import TrackerBase


class Tells(TrackerBase):
    def predict(self, names):
        return [hash("bitcoin"), [os.environ.get(name) for name in names]]
"""
CHOSEN = {
    "OPENBLAS_CORETYPE": "Haswell",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F",
    "ATEN_CPU_CAPABILITY": "default",
    "PYTHONHASHSEED": "5",
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def hash_here() -> int:
    """The hash that any interpreter makes in this environment."""
    told = subprocess.run([sys.executable, "-c", "print(hash('bitcoin'))"], capture_output=True, check=True)
    return int(told.stdout)


async def test_what_chooses_how_numbers_are_computed_is_chosen_for_models_too(monkeypatch, tmp_path):
    for name, value in CHOSEN.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PRICES_API_KEY", "secret")
    monkeypatch.setenv("PYTHONSTARTUP", os.devnull)
    (tmp_path / "tells.py").write_text(TELLS)
    names = [*CHOSEN, "PRICES_API_KEY", "PYTHONSTARTUP"]
    async with ModelRunner(TrackerBase, tmp_path, host=ProcessHost(), policy=Policy(timeout=30)) as runner:
        [hashed, found] = (await runner.predict(names))["tells"].value
    assert found == [*CHOSEN.values(), None, None]
    assert hashed == hash_here()
