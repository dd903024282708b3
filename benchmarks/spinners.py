"""Ours: some models spin forever. What the others notice while they do, once they are stopped, and without them."""

from __future__ import annotations

from pathlib import Path

import anyio

from benchmarks.field import ASKED, PRICES, field
from benchmarks.meter import Meter
from crunch_game import ModelRunner, Outcome, Policy, Round

__all__ = ["spinners"]

SPINS = """
from bench_game import TrackerBase

class Model(TrackerBase):
    def tick(self, data):
        pass

    def predict(self, asset, horizon, step):
        while True:
            pass
"""


def spinners(models: int, spinning: int, budget: float, limit: int, rounds: int) -> dict[str, float]:
    """Of so many models some spin in predict, and are stopped at the limit.

    The others' time is that of the last of them to answer, in each call.
    """
    good = models - spinning
    with field("density", good) as folder:
        without = anyio.run(_without, folder, good, rounds)
    with field("density", good) as folder:
        for index in range(spinning):
            (folder / f"spins_{index}.py").write_text(SPINS)
        measured = anyio.run(_during_and_after, folder, good, budget, limit, rounds)
    return {"without_ms": without, "after_of_without": measured["after_ms"] / without * 100, **measured}


async def _without(folder: Path, good: int, rounds: int) -> float:
    meter = Meter()
    async with ModelRunner("bench_game:TrackerBase", folder, policy=Policy(timeout=30), ready_timeout=300) as runner:
        await _play(runner, good, rounds, meter)
    return meter.latency()["round_ms"]


async def _during_and_after(folder: Path, good: int, budget: float, limit: int, rounds: int) -> dict[str, float]:
    policy = Policy(timeout=budget, max_consecutive_timeouts=limit)
    others, slowest, meter = [], 0.0, Meter()
    async with ModelRunner("bench_game:TrackerBase", folder, policy=policy, ready_timeout=300) as runner:
        spinning = [model_id for model_id in runner.models if model_id.startswith("spins_")]
        while any(runner.models[model_id].state != "stopped" for model_id in spinning):
            for played in (await runner.tick(PRICES), await runner.predict(*ASKED)):
                slowest = max(slowest, played.elapsed)
                others.append(max(outcome.elapsed for outcome in _succeeded(played, good)))
        await _play(runner, good, rounds, meter)
    return {
        "slowest_of_budget": slowest / budget * 100,
        "others_ms": sorted(others)[len(others) // 2] * 1e3,
        "after_ms": meter.latency()["round_ms"],
    }


def _succeeded(played: Round, good: int) -> list[Outcome]:
    outcomes = [outcome for outcome in played.succeeded.values() if not outcome.model_id.startswith("spins_")]
    assert len(outcomes) == good, played
    return outcomes


async def _play(runner: ModelRunner, good: int, rounds: int, meter: Meter) -> None:
    for _ in range(rounds):
        with meter.round():
            await runner.tick(PRICES)
            played = await runner.predict(*ASKED)
        _succeeded(played, good)
