"""Ours: start, memory per model, round latency and processor time on the process host.

A round is one tick and one prediction of every model, as a game plays them. Start is measured from nothing to the
first answer of every model.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import anyio

from benchmarks.field import ASKED, PRICES, field
from benchmarks.meter import Meter, below, pss
from crunch_game import MethodCall, ModelRunner, Policy

__all__ = ["play", "rounds", "slot"]


def rounds(models: int, rounds: int) -> dict[str, float]:
    """Start so many models, and play so many rounds."""
    with field("density", models) as folder:
        return anyio.run(_play, folder, models, rounds)


async def _play(folder: Path, models: int, rounds: int) -> dict[str, float]:
    began = time.perf_counter()
    async with ModelRunner("bench_game:TrackerBase", folder, policy=Policy(timeout=30), ready_timeout=300) as runner:
        await play(runner, models, 1)
        start = time.perf_counter() - began
        memory = pss(below(os.getpid())) / models
        played = await play(runner, models, rounds)
    return {"models": models, "start_s": start, "memory_mib": memory, **played}


def slot(models: int, asks: int, rounds: int) -> dict[str, float]:
    """Ask so many models several times: in a batch, and one call after the other; and play a round beside each."""
    with field("density", models) as folder:
        return anyio.run(_slots, folder, models, asks, rounds)


async def _slots(folder: Path, models: int, asks: int, rounds: int) -> dict[str, float]:
    calls = [MethodCall("predict", ASKED, key=f"predict({number})") for number in range(asks)]
    batched, apart, round_ = Meter(), Meter(), Meter()
    async with ModelRunner("bench_game:TrackerBase", folder, policy=Policy(timeout=30), ready_timeout=300) as runner:
        await play(runner, models, 1)
        for _ in range(rounds):
            with batched.round():
                played = await runner.batch(calls)
            assert [len(each.succeeded) for each in played] == [models] * asks, played
            with apart.round():
                for _ in range(asks):
                    await runner.predict(*ASKED)
            with round_.round():
                await runner.tick(PRICES)
                await runner.predict(*ASKED)
    slot_ms = batched.latency()["round_ms"]
    return {
        "slot_ms": slot_ms,
        "apart_ms": apart.latency()["round_ms"],
        "slot_rounds": slot_ms / round_.latency()["round_ms"],
        **batched.cpu_per_call(asks * models),
    }


async def play(runner: ModelRunner, models: int, rounds: int) -> dict[str, float]:
    """Play so many rounds with a runner of so many models: what they cost."""
    meter = Meter()
    for _ in range(rounds):
        with meter.round():
            await runner.tick(PRICES)
            played = await runner.predict(*ASKED)
            assert len(played.succeeded) == models, played
    return {**meter.latency(), **meter.cpu_per_call(2 * models)}
