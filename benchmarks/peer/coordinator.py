"""The peer's side of the measurements: its own runner class, calling nodes that are processes of their own.

Runs in the client's environment, and imports nothing of crunch_game.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from model_runner_client.grpc.generated.commons_pb2 import Argument, Variant
from model_runner_client.model_concurrent_runners import DynamicSubclassModelConcurrentRunner, ModelPredictResult
from model_runner_client.utils.datatype_transformer import detect_data_type, encode_data

from benchmarks.field import ASKED, BARE, MODELS, PRICES, Kind, floats, frame
from benchmarks.meter import Meter, below, pss

__all__ = ["payload", "rounds"]


def rounds(node: str, models: int, rounds: int) -> dict[str, float]:
    """Start so many nodes, and play so many rounds of one tick and one prediction."""
    began = time.perf_counter()
    with _orchestrated("density", node, models) as (port, orchestrator):
        return asyncio.run(_rounds(began, port, orchestrator, models, rounds))


async def _rounds(began: float, port: int, orchestrator: int, models: int, rounds: int) -> dict[str, float]:
    async with _connected(port) as runner:
        await _round(runner, models)
        start = time.perf_counter() - began
        memory = pss(below(orchestrator)) / models
        meter = Meter()
        for _ in range(rounds):
            with meter.round():
                await _round(runner, models)
    return {
        "models": models,
        "start_s": start,
        "memory_mib": memory,
        **meter.latency(),
        **meter.cpu_per_call(2 * models),
    }


def payload(node: str, kind: Literal["floats", "frame"], models: int, size: int, rounds: int) -> dict[str, float]:
    """Tick with many floats (as JSON), or with a table of five columns (as Parquet), as the peer sends them."""
    data = floats(size) if kind == "floats" else frame(size)
    with _orchestrated(kind, node, models) as (port, _):
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


async def _round(runner: DynamicSubclassModelConcurrentRunner, models: int) -> None:
    await _call(runner, models, "tick", PRICES)
    await _call(runner, models, "predict", *ASKED)


async def _call(runner: DynamicSubclassModelConcurrentRunner, models: int, method: str, *args: Any) -> list[Any]:
    arguments = [Argument(position=place, data=_variant(value)) for place, value in enumerate(args, 1)]
    results = (await runner.call(method, arguments=(arguments, []))).values()
    answers = [result.result for result in results if result.status is ModelPredictResult.Status.SUCCESS]
    assert len(answers) == models, results
    return answers


def _variant(value: Any) -> Variant:
    kind = detect_data_type(value)
    return Variant(type=kind, value=encode_data(kind, value))


@contextmanager
def _orchestrated(kind: Kind, node: str, models: int) -> Iterator[tuple[int, int]]:
    """So many nodes that listen: the port of their orchestrator, and its process, whose children they are."""
    with TemporaryDirectory() as folder:
        code = Path(folder, "code")
        code.mkdir()
        Path(folder, "bench_game.py").write_text(BARE)
        (code / "main.py").write_text(MODELS[kind])
        command = [sys.executable, "-m", "benchmarks.peer.orchestrator", node, str(code), folder, str(models)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as orchestrator:
            assert orchestrator.stdout is not None
            yield int(orchestrator.stdout.readline()), orchestrator.pid


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
