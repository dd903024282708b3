"""The peer's side of the measurements: its own runner class, calling nodes that are processes of their own.

Runs in the client's environment, and imports nothing of crunch_game.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from model_runner_client.grpc.generated.commons_pb2 import Argument, Variant
from model_runner_client.model_concurrent_runners import DynamicSubclassModelConcurrentRunner, ModelPredictResult
from model_runner_client.utils.datatype_transformer import detect_data_type, encode_data

from benchmarks.field import ASKED, PRICES, floats, frame
from benchmarks.meter import Meter, below, pss
from benchmarks.peer.nodes import nodes

__all__ = ["network", "payload", "rounds"]


def rounds(models: int, rounds: int) -> dict[str, float]:
    """Start so many nodes, and play so many rounds of one tick and one prediction."""
    began = time.perf_counter()
    with nodes("density", models) as (port, orchestrator):
        return asyncio.run(_rounds(began, port, orchestrator, models, rounds))


async def _rounds(began: float, port: int, orchestrator: int, models: int, rounds: int) -> dict[str, float]:
    async with _connected(port) as runner:
        await _play(runner, models, 1)
        start = time.perf_counter() - began
        memory = pss(below(orchestrator)) / models
        played = await _play(runner, models, rounds)
    return {"models": models, "start_s": start, "memory_mib": memory, **played}


def network(port: int, models: int, rounds: int) -> dict[str, float]:
    """Play so many rounds with so many nodes that are there already, announced by an orchestrator at that port."""
    return asyncio.run(_network(port, models, rounds))


async def _network(port: int, models: int, rounds: int) -> dict[str, float]:
    async with _connected(port) as runner:
        await _play(runner, models, 1)
        played = await _play(runner, models, rounds)
    return {"models": models, **played}


def payload(kind: Literal["floats", "frame"], models: int, size: int, rounds: int) -> dict[str, float]:
    """Tick with many floats (as JSON), or with a table of five columns (as Parquet), as the peer sends them."""
    data = floats(size) if kind == "floats" else frame(size)
    with nodes(kind, models) as (port, _):
        return asyncio.run(_payload(port, data, models, rounds))


async def _payload(port: int, data: Any, models: int, rounds: int) -> dict[str, float]:
    async with _connected(port) as runner:
        await _call(runner, models, "tick", data)
        meter = Meter()
        for _ in range(rounds):
            with meter.round():
                await _call(runner, models, "tick", data)
        sums = set(await _call(runner, models, "total"))
    assert len(sums) == 1, sums
    return {**meter.latency(), **meter.cpu_per_call(models), "total": sums.pop()}


async def _play(runner: DynamicSubclassModelConcurrentRunner, models: int, rounds: int) -> dict[str, float]:
    meter = Meter()
    for _ in range(rounds):
        with meter.round():
            await _call(runner, models, "tick", PRICES)
            await _call(runner, models, "predict", *ASKED)
    return {**meter.latency(), **meter.cpu_per_call(2 * models)}


async def _call(runner: DynamicSubclassModelConcurrentRunner, models: int, method: str, *args: Any) -> list[Any]:
    arguments = [Argument(position=place, data=_variant(value)) for place, value in enumerate(args, 1)]
    results = (await runner.call(method, arguments=(arguments, []))).values()
    answers = [result.result for result in results if result.status is ModelPredictResult.Status.SUCCESS]
    assert len(answers) == models, results
    return answers


def _variant(value: Any) -> Variant:
    kind = detect_data_type(value)
    return Variant(type=kind, value=encode_data(kind, value))


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[DynamicSubclassModelConcurrentRunner]:
    """A runner that has set up every node."""
    runner = DynamicSubclassModelConcurrentRunner(
        timeout=30,
        crunch_id="bench",
        host="127.0.0.1",
        port=port,
        base_classname="bench_game.TrackerBase",
        report_failure=False,
    )
    await runner.init()
    following = asyncio.create_task(runner.sync())
    try:
        yield runner
    finally:
        following.cancel()
        await runner.model_cluster.ws_client.disconnect()
        await asyncio.gather(*(run.close() for run in list(runner.model_cluster.models_run.values())))
