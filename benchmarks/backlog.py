"""A backlog of answers that are due, scored at once: how long that takes, in how much memory and how long transactions.

python -m benchmarks.backlog due 3000 300            # 900,000 answers
python -m benchmarks.backlog waiting 1000 300        # a step while 300,000 wait for their truth
python -m benchmarks.backlog beside 2000 300         # a live game beside 600,000 that are due, and that were scored
"""

from __future__ import annotations

import importlib
import random
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from benchmarks.apart import apart
from benchmarks.field import field
from benchmarks.warmup import EverySecond
from crunch_game import CRPS, Game, Predict, Prediction, Row, ScoreWorker, SQLStore, run_game
from crunch_game.events import RoundsMissed
from crunch_game.resolving import Return

__all__ = ["beside", "due", "fill", "waiting"]

_START = datetime(2026, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_ASKED = {"asset": "BTC", "horizon": 60, "step": 60}


def game(wait: float = 0.0, every: str = "1m") -> Game:
    """A game of one asset, asked each minute."""
    with field("density", 0):
        return Game(
            name="backlog",
            tracker=importlib.import_module("bench_game").TrackerBase,
            predictions=[Predict(every=every, horizon="1m", asset="BTC", step=60)],
            resolve=Return(wait=wait, max_age="1h"),
            score=CRPS(),
        )


def answers(number: int, models: int, key: str) -> list[Prediction]:
    """What so many models have answered in one round."""
    drawn, at = random.Random(number), _START + number * _MINUTE
    return [
        Prediction(
            f"model-{model:04}", "1", key, at, at + _MINUTE, 60.0, _ASKED,
            value=[_normal(drawn.gauss(0, 0.001), drawn.uniform(0.001, 0.002))],
        )
        for model in range(models)
    ]  # fmt: skip


def _normal(loc: float, scale: float) -> dict[str, Any]:
    return {"type": "builtin", "name": "norm", "params": {"loc": loc, "scale": scale}}


def row(number: int) -> Row:
    """The row at the slot of a round."""
    price = 100.0 + random.Random(-number).gauss(0, 0.1)
    return Row(_START + number * _MINUTE, {"BTC": price}, _START + number * _MINUTE)


def fill(url: str, rounds: int, models: int, last: int, score: bool) -> dict[str, float]:
    """Keep so many rounds, the last of them `last` minutes after the first, with the rows that resolve them."""
    playing = game()
    [ask] = playing.asks
    with SQLStore(url) as store:
        for first in range(last - rounds, last, 100):
            numbers = range(first, min(first + 100, last))
            kept = [each for number in numbers for each in answers(number, models, ask.key)]
            store.save([row(number) for number in numbers], kept)
        store.save([row(last)])
        if score:
            sum(map(len, ScoreWorker(playing, store).steps()))
    return {}


@contextmanager
def _filled(rounds: int, models: int, last: int | None = None, *, score: bool = False) -> Iterator[str]:
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder, 'game.db')}"
        asked = {"url": url, "rounds": rounds, "models": models, "last": rounds if last is None else last}
        apart("benchmarks.backlog:fill", {**asked, "score": score})
        yield url


class _Timed(SQLStore):
    """A store that says how long its longest transaction was: so long, nobody else could write."""

    longest = 0.0

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        with super()._writing() as connection:
            began = time.perf_counter()
            yield connection
        self.longest = max(self.longest, time.perf_counter() - began)


def due(rounds: int, models: int) -> dict[str, float]:
    """Score so many rounds of so many models, all of them due."""
    with _filled(rounds, models) as url, _Timed(url) as store:
        began = time.perf_counter()
        worker = ScoreWorker(game(), store)
        scored = sum(map(len, worker.steps()))
        spent = time.perf_counter() - began
        assert scored == rounds * models
        worker.standings(row(rounds).time)
        return {
            "due_s": spent,
            "cpu_us": time.process_time() / scored * 1e6,
            "peak_mib": _peak(),
            "longest_ms": store.longest * 1e3,
        }


def waiting(rounds: int, models: int, steps: int = 10) -> dict[str, float]:
    """Look for so many rounds whether their truth is known, with one new row in each step, and then with none."""
    with _filled(rounds, models) as url, _Timed(url) as store:
        worker = ScoreWorker(game(wait=rounds * 120.0), store)
        assert not worker.step()
        assert worker.waiting == rounds * models
        with_row, without = [], []
        for number in range(rounds + 1, rounds + 1 + steps):
            store.save([row(number)])
            with_row.append(_seconds(worker))
            without.append(_seconds(worker))
        return {
            "row_ms": statistics.median(with_row) * 1e3,
            "none_ms": statistics.median(without) * 1e3,
            "peak_mib": _peak(),
        }


class _Live(SQLStore):
    """A store that says how long after their slots answers were kept, in seconds."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.after: list[float] = []

    def save(self, rows: Any = (), predictions: Sequence[Prediction] = (), *args: Any, **further: Any) -> None:
        super().save(rows, predictions, *args, **further)
        if predictions:
            self.after.append(time.time() - predictions[0].at.timestamp())


def beside(rounds: int, models: int, players: int = 50, seconds: float = 40.0) -> dict[str, float]:
    """Play a live game of a round a second: upon nothing, upon a backlog that is due, and upon one that was scored."""
    found: dict[str, float] = {}
    for name in ("alone", "due", "scored"):
        asked = {"rounds": 0 if name == "alone" else rounds, "models": models, "players": players, "seconds": seconds}
        measured = apart("benchmarks.backlog:live", {**asked, "score": name == "scored"})
        found |= {f"{name}_{key}": value for key, value in measured.items()}
    return found


def live(rounds: int, models: int, players: int, seconds: float, score: bool) -> dict[str, float]:
    """Play it upon so many rounds; how many of its own were in time, and when their answers were kept."""
    last = int((datetime.now(UTC) - _START) / _MINUTE) - 2
    missed: list[int] = []

    def hear(event: Any) -> None:
        if isinstance(event, RoundsMissed) and "not running" not in event.reason:  # that is before its models are ready
            missed.append(event.count)

    with _filled(rounds, models, last, score=score) as url, _Live(url) as store, field("density", players) as folder:
        result = anyio.run(
            lambda: run_game(game(every="1s"), folder, store=store, feed=EverySecond(seconds), on_event=hear)
        )
        return {
            "rounds": result.rounds,
            "late": result.late,
            "missed": sum(missed),
            "scored": result.scored,
            "kept_p50_ms": statistics.median(store.after) * 1e3,
            "kept_p99_ms": statistics.quantiles(store.after, n=100)[-1] * 1e3,
        }


def _seconds(worker: ScoreWorker) -> float:
    began = time.perf_counter()
    worker.step()
    return time.perf_counter() - began


def _peak() -> float:
    """MiB that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    what, *numbers = sys.argv[1:]
    print({"due": due, "waiting": waiting, "beside": beside}[what](*map(int, numbers)))
