"""Ours: a large tick to a few models, a list of floats or a table, from the author's object to everyone's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import anyio

from benchmarks.field import field, floats, frame
from benchmarks.meter import Meter
from crunch_game import ModelRunner, Policy

__all__ = ["payload"]


def payload(kind: Literal["floats", "frame"], models: int, size: int, rounds: int) -> dict[str, float]:
    """Tick so many models with so many floats, or rows of five columns, so often."""
    data = floats(size) if kind == "floats" else frame(size)
    with field(kind, models) as folder:
        return anyio.run(_play, folder, data, models, rounds)


async def _play(folder: Path, data: Any, models: int, rounds: int) -> dict[str, float]:
    async with ModelRunner("bench_game:TrackerBase", folder, policy=Policy(timeout=30), ready_timeout=300) as runner:
        await runner.tick(data)
        meter = Meter()
        for _ in range(rounds):
            with meter.round():
                played = await runner.tick(data)
            assert len(played.succeeded) == models, played
        sums = {outcome.value for outcome in (await runner.call("total")).values()}
    assert len(sums) == 1, sums
    return {**meter.latency(), **meter.cpu_per_call(models), "total": sums.pop()}
