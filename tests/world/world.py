"""A live game to which the world happens; and what is compared when it is over."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
from virtual import Coming, Scripted, VirtualClock

from crunch_game import (
    Game,
    MemoryStore,
    Policy,
    Predict,
    PredictWorker,
    ReplayFeed,
    Row,
    ScoreWorker,
    Store,
    open_store,
)
from crunch_game.workers import beside

T0 = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ROWS = 60
KEYS = 2


class Base:
    def tick(self, data: dict[str, float]) -> None: ...

    def predict(self, asset: str) -> float: ...


class Memory(Base):
    """It answers with all that it was ever told, in their order."""

    def __init__(self) -> None:
        self.heard = 0.0

    def tick(self, data: dict[str, float]) -> None:
        self.heard = (self.heard * 0.75 + data["a"]) % 1000.0

    def predict(self, asset: str) -> float:
        return self.heard + len(asset)


class Moody(Memory):
    """It has an answer for some rows only."""

    def predict(self, asset: str) -> float:
        if self.heard % 3 < 1:
            raise RuntimeError(f"not after {self.heard}")
        return self.heard


def row(number: int) -> Row:
    return Row(T0 + number * SECOND, {"a": float(number * number % 97)})


def game(feed: Any, **options: Any) -> Game:
    def truth(prediction: Any, history: Any) -> float | None:
        found = history.first_from(prediction.resolves_at)
        return None if found is None else found.prices["a"]

    given: dict[str, Any] = {
        "name": "world",
        "tracker": Base,
        "predictions": [Predict(every=2, horizon=6, asset="a"), Predict(every=3, horizon=9, asset="bb")],
        "resolve": truth,
        "score": lambda prediction, outcome: abs(prediction.value - outcome),
        "feed": feed,
        "policy": Policy(timeout=0.5, max_consecutive_failures=0),
        "windows": {"all": "7d"},
        "wait": 0.3,
    }
    return Game(**given | options)


Fate = Mapping[int, Callable[[], Any]]
"""What happens right before a row comes, by its number."""


class Fated(Scripted):
    """A row a second. Right before some of them, something happens."""

    def __init__(self, clock: VirtualClock, fate: Fate, rows: int = ROWS) -> None:
        script = [Coming(row(number), row(number).time + 0.1 * SECOND) for number in range(rows)]
        super().__init__(clock, script, T0 + (rows + 1) * SECOND, has_past=True)
        self._fate = fate

    async def rows(self, since: datetime | None = None, on_event: Any = None) -> AsyncIterator[Row]:
        async for each in super().rows(since, on_event):
            happening = self._fate.get(round((each.time - T0) / SECOND))
            if happening is not None:
                await anyio.to_thread.run_sync(happening)
            yield each


def wait_until(look: Callable[[], object]) -> None:
    """Wait, on a thread, for what no event tells of."""
    deadline = time.monotonic() + 30
    while not look():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


async def played(store: Store, fate: Fate, journal: Path, **more: Any) -> PredictWorker:
    """Play the game under a virtual clock."""
    clock = VirtualClock(more.pop("start", T0))
    feed = Fated(clock, fate, more.pop("rows", ROWS))
    worker = PredictWorker(game(feed), [Memory, Moody], store, host="inline", clock=clock, journal=journal, **more)
    async with beside(clock.run):
        await worker.run()
    return worker


async def replayed(store: Store) -> Store:
    """The replay of a store, scored."""
    kept = MemoryStore()
    again = game(ReplayFeed(store))
    await PredictWorker(again, [Memory, Moody], kept, host="inline").run()
    ScoreWorker(again, kept).step()
    return kept


def of(told: list[Any], kind: type) -> list[Any]:
    return [each for each in told if isinstance(each, kind)]


def content(store: Store) -> dict[str, Any]:
    """All that a store holds of what was played; not how long it took."""
    events = [each for _, each in store.events() if not each.kind.startswith(("Store", "Journal", "Clock", "Loop"))]
    return {
        "rows": [arrival for _, arrival in store.arrivals()],
        "predictions": [replace(each, elapsed=0.0) for each in store.predictions()],
        "sessions": store.sessions(),
        "models": store.models(),
        "faults": [replace(each, exit=None) for each in store.faults()],
        "events": [(each.kind, each.model_id, each.seen) for each in events],
        "deployments": [(each.model_id, each.state, each.strikes) for each in store.deployments()],
        "first": store.first_rounds(),
        "last": store.last_rounds(),
    }


def rounds(store: Store) -> list[Any]:
    return [replace(each, elapsed=0.0, asked_at=None) for each in store.predictions()]


class Lock:
    """The lock of a store, held by another process for as long as the test wants."""

    def __init__(self, url: str) -> None:
        self._store: Any = open_store(url)
        self._writing: Any = None

    def take(self) -> None:
        self._writing = self._store._writing()
        connection = self._writing.__enter__()
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")

    def release(self) -> None:
        self._writing.__exit__(None, None, None)
        self._store.close()
