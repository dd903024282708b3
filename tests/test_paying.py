"""The games that pay people, as the examples write them: their figures are those of the originals."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

PAYING = Path(__file__).parents[1] / "examples" / "paying"
EXPECTED = json.loads((Path(__file__).parent / "expected" / "games.json").read_text())
SEASON = EXPECTED["season"]


def example(name: str) -> ModuleType:
    """An example, imported as it stands."""
    spec = importlib.util.spec_from_file_location(name, PAYING / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def close(value):
    return pytest.approx(value, rel=1e-12, abs=0)


# Synth's validators


@pytest.mark.parametrize("prompt", EXPECTED["prompts"])
def test_a_prompt_is_scored_as_synths_validators_do(prompt):
    miners = range(len(prompt["crps"]))
    scored = example("synth_validator").scored({"time": 0, "asset": "BTC", "miners": miners, **prompt})

    found = {**scored.scores["crps"], **scored.absences["crps"]}

    assert [found[str(miner)] for miner in miners] == close(prompt["scores"])
    assert scored.absent["crps"] == close(prompt["p95"] - prompt["lowest"])


def test_a_season_is_smoothed_and_paid_as_synths_validators_do():
    synth = example("synth_validator")

    found = synth.weights(SEASON["prompts"])

    assert {asset: synth.COEFFICIENTS[asset] for asset in SEASON["coefficients"]} == SEASON["coefficients"]
    assert [found[str(miner)][0] for miner in range(8)] == close(SEASON["smoothed"])
    assert [found[str(miner)][1] for miner in range(8)] == close(SEASON["weights"])
    shares = [share for _, share in found.values()]
    assert shares == sorted(shares, reverse=True)


def test_the_season_has_a_newcomer():
    assert any(7 not in prompt["miners"] for prompt in SEASON["prompts"])
    assert any(7 in prompt["miners"] for prompt in SEASON["prompts"])


@pytest.mark.processes
def test_the_validators_example_runs_as_its_first_lines_say(tmp_path):
    prompts = tmp_path / "prompts.json"
    prompts.write_text(json.dumps(SEASON["prompts"]))

    command = [sys.executable, PAYING / "synth_validator.py", prompts]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    best = max(range(8), key=SEASON["weights"].__getitem__)
    assert lines[0] == f"miner {best}: {SEASON['smoothed'][best]:.3f}, {SEASON['weights'][best]:.2%} of the reward"
    assert len(lines) == 8


def test_an_example_is_read_in_a_page():
    assert {file.name for file in PAYING.glob("*.py") if len(file.read_text().splitlines()) > 80} == set()
