"""Start time, memory per model and round latency on the process host, beside raw socketpairs in the same run.

A round is one tick (four floats) and one prediction (a small density), as a game plays them. The floor forks the same
number of processes from an interpreter that imported numpy, and exchanges the same bytes with them over plain
socketpairs, with no budgets, checks or outcomes. Start is measured from nothing to the first answer of every model.

    python benchmarks/rounds.py [--models 1 10 100] [--rounds 200] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec

from crunch_game import ModelRunner, Policy

GAME = """
import crunch_game
from crunch_game.scoring import Density

class TrackerBase(crunch_game.TrackerBase):
    def tick(self, data: dict[str, float]) -> None: ...
    def predict(self, asset: str, horizon: int, step: int) -> list[Density]: ...
"""
MODEL = """
import numpy
from bench_game import TrackerBase

class Model(TrackerBase):
    def tick(self, data):
        self.data = data

    def predict(self, asset, horizon, step):
        return [{"type": "builtin", "name": "norm", "params": {"loc": 0.0, "scale": self.data[asset] / 1e6}}]
"""
PRICES = {"BTC": 63_012.5, "ETH": 3_001.25, "SOL": 145.0, "XAU": 2_400.0}
ANSWER = [{"type": "builtin", "name": "norm", "params": {"loc": 0.0, "scale": 0.063}}]


def measure_runner(count: int, rounds: int) -> dict[str, Any]:
    """Start, memory, latency and CPU of our own process host."""
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder, "models")
        models.mkdir()
        Path(folder, "bench_game.py").write_text(GAME)
        for index in range(count):
            (models / f"model_{index}.py").write_text(MODEL)
        sys.path.insert(0, folder)
        try:
            return anyio.run(_play, models, count, rounds)
        finally:
            sys.path.remove(folder)
            sys.modules.pop("bench_game", None)


async def _play(models: Path, count: int, rounds: int) -> dict[str, Any]:
    began = time.perf_counter()
    async with ModelRunner("bench_game:TrackerBase", models, policy=Policy(timeout=10), ready_timeout=120) as runner:
        await _round(runner, count)
        start = time.perf_counter() - began
        memory = _memory_per_model(count)
        seconds = []
        busy = _cpu()
        for _ in range(rounds):
            began = time.perf_counter()
            await _round(runner, count)
            seconds.append(time.perf_counter() - began)
        per_call = (_cpu() - busy) / (rounds * count * 2)
    return {"start": start, "memory": memory, "seconds": seconds, "cpu_per_call": per_call}


async def _round(runner: ModelRunner, count: int) -> None:
    await runner.tick(PRICES)
    played = await runner.predict("BTC", 3600, 3600)
    assert len(played.succeeded) == count, played


def measure_floor(count: int, rounds: int) -> dict[str, Any]:
    """The same with forked processes and plain socketpairs, in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, __file__, "--floor", str(count), "--rounds", str(rounds)], capture_output=True, check=True
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _floor(count: int, rounds: int) -> dict[str, Any]:
    import numpy  # noqa: F401 - what the models import, the floor has too

    encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode
    began = time.perf_counter()
    ends, children = [], []
    for _ in range(count):
        ours, theirs = socket.socketpair()
        child = os.fork()
        if child == 0:
            ours.close()
            _echo(theirs, encode(ANSWER))
        theirs.close()
        ends.append(ours)
        children.append(child)
    with selectors.DefaultSelector() as selector:
        for end in ends:
            selector.register(end, selectors.EVENT_READ)
        exchange = _exchanger(selector, ends, decode)
        exchange(encode(["predict", "BTC", 3600, 3600]))
        start = time.perf_counter() - began
        memory = _memory_per_model(count)
        seconds = []
        busy = _cpu()
        for _ in range(rounds):
            began = time.perf_counter()
            exchange(encode(["tick", PRICES]))
            exchange(encode(["predict", "BTC", 3600, 3600]))
            seconds.append(time.perf_counter() - began)
        per_call = (_cpu() - busy) / (rounds * count * 2)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return {"start": start, "memory": memory, "seconds": seconds, "cpu_per_call": per_call}


def _exchanger(
    selector: selectors.BaseSelector, ends: list[socket.socket], decode: Callable[[bytes], Any]
) -> Callable[[bytes], None]:
    def exchange(question: bytes) -> None:
        for end in ends:
            end.send(question)
        waiting = len(ends)
        while waiting:
            for key, _ in selector.select():
                decode(key.fileobj.recv(65536))  # type: ignore[union-attr]
                waiting -= 1

    return exchange


def _echo(channel: socket.socket, answer: bytes) -> None:
    while channel.recv(65536):
        channel.send(answer)
    os._exit(0)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory_per_model(count: int) -> float:
    """MiB of proportional set size (PSS) of everything below this process, per model."""
    total = sum(_pss(pid) for pid in _descendants(os.getpid()))
    return total / 1024 / count


def _descendants(pid: int) -> list[int]:
    below = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            below += [int(child), *_descendants(int(child))]
    return below


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _summary(measured: dict[str, Any]) -> dict[str, float]:
    seconds = sorted(measured["seconds"])
    return {
        "start_s": measured["start"],
        "memory_mib": measured["memory"],
        "round_ms": statistics.median(seconds) * 1e3,
        "round_p10_ms": seconds[len(seconds) // 10] * 1e3,
        "round_p90_ms": seconds[len(seconds) * 9 // 10] * 1e3,
        "cpu_us_per_call": measured["cpu_per_call"] * 1e6,
    }


def _table(results: list[dict[str, Any]]) -> str:
    lines = [
        "| models | | start | memory per model | round: median (p10 to p90) | coordinator CPU per call |",
        "|---|---|---|---|---|---|",
    ]
    for result in results:
        for who in ("crunch_game", "floor"):
            row = result[who]
            spread = f"{row['round_ms']:.2f} ms ({row['round_p10_ms']:.2f} to {row['round_p90_ms']:.2f})"
            lines.append(
                f"| {result['models']} | {who} | {row['start_s']:.2f} s | {row['memory_mib']:.1f} MiB "
                f"| {spread} | {row['cpu_us_per_call']:.1f} µs |"
            )
    return "\n".join(lines)


def main() -> None:
    """Measure, alternating between ours and the floor, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the one with the median round is shown")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--floor", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.floor is not None:
        print(json.dumps(_floor(options.floor, options.rounds)))
        return
    results = []
    for count in options.models:
        runs: dict[str, list[dict[str, float]]] = {"crunch_game": [], "floor": []}
        for _ in range(options.repeat):
            runs["crunch_game"].append(_summary(measure_runner(count, options.rounds)))
            runs["floor"].append(_summary(measure_floor(count, options.rounds)))
        middle = {who: sorted(each, key=lambda run: run["round_ms"])[len(each) // 2] for who, each in runs.items()}
        results.append({"models": count, **middle})
    if options.json:
        print(json.dumps({"python": platform.python_version(), "cores": os.cpu_count(), "results": results}, indent=2))
    else:
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {options.rounds} rounds\n")
        print(_table(results))


if __name__ == "__main__":
    main()
