"""PredictWorker: ticks every model with a feed's rows, plays the rounds that are due, and stores both."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from anyio.to_thread import run_sync as in_thread

from crunch_game._public import public
from crunch_game._schedule import due, next_slot
from crunch_game.events import RoundLate, RoundPlayed, RoundsMissed, TickPlayed
from crunch_game.feeds import History
from crunch_game.feeds.base import Feed, Row
from crunch_game.game import Ask, Game
from crunch_game.hosts.base import Host
from crunch_game.models import Model
from crunch_game.outcomes import Outcome, Round, Status
from crunch_game.policy import State
from crunch_game.runner import ModelRunner, Models, PerModel
from crunch_game.scoring import Standing
from crunch_game.storage import encode
from crunch_game.storage.base import ModelRecord, Prediction, Store
from crunch_game.workers._base import Listener, beside, claim, feed_of, safely

_READY_TIMEOUT = 5.0


@public
class PredictWorker:
    """Ticks every model with a feed's rows, plays the rounds that are due, and stores both.

    A row and the rounds after it are stored in one transaction. A new worker on the same store continues after the last
    stored row, so that no prediction is made twice. A fresh instance is first told the rows that it missed
    (`Game.warmup`).

    Args:
        game: The game.
        models: As for ModelRunner.
        store: Where everything is kept.
        feed: Replaces the game's own.
        host: As for ModelRunner.
        on_event: Called with the events of the runner, the feed and the worker.
        after_row: Awaited with the time on the game's clock after a row and its rounds are stored.
        standing_of: Returns a model's standing, for `Game.per_model`.
        max_ticks: Stop after this many rows.
        clock: The wall clock, UTC; used only with a live feed.

    Attributes:
        runner: The ModelRunner; it can be called while `running`.
        ticks, rounds, predictions, missed, late: Counts, as in `GameResult`.

    Raises:
        UsageError: There is no feed.
    """

    def __init__(
        self,
        game: Game,
        models: Models,
        store: Store,
        *,
        feed: Feed | None = None,
        host: Host | Literal["process", "inline"] | None = None,
        on_event: Listener | None = None,
        after_row: Callable[[datetime], Awaitable[Any]] | None = None,
        standing_of: Callable[[str], Standing | None] = lambda model_id: None,
        max_ticks: int | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.game = game
        self.feed = feed_of(game, feed)
        self.runner = ModelRunner(
            game.contract,
            models,
            host=host,
            policy=game.policy,
            loader=game.loader,
            init_args=game.init_args,
            init_kwargs=game.init_kwargs,
            on_event=on_event,
            # A live game does not wait for slow models. A replay does: its result must not depend on their speed.
            ready_timeout=_READY_TIMEOUT if self.feed.live else game.policy.setup_timeout,
        )
        self.runner.on_join(self._replay_to)
        self.ticks = self.rounds = self.predictions = self.missed = self.late = 0
        self._store = store
        self._tell = safely(on_event)
        self._after_row = after_row
        self._standing_of = standing_of
        self._max_ticks = math.inf if max_ticks is None else max_ticks
        self._clock = clock
        self._history = History()
        self._last: dict[str, datetime] = {}
        self._known: dict[str, ModelRecord] = {}
        self._stopping = False
        self._waiting: anyio.CancelScope | None = None
        self.running = False

    def stop(self) -> None:
        """End `run` when the current row is stored; at once if models are still being loaded."""
        self._stopping = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def run(self) -> None:
        """Play until the feed ends, `max_ticks` rows are played, or `stop` is called.

        Raises:
            FeedError: The feed cannot be read. The rows before were played and stored.
            UsageError: The store is another game's.
        """
        await in_thread(claim, self._store, self.game.name)
        last = await in_thread(self._store.last_row)
        if last is not None:
            since = None if self.game.history is None else last.time - self.game.history
            self._history = History(await in_thread(self._store.rows, since))
            self._last = await in_thread(self._store.last_rounds)
        if self._over:
            return
        with anyio.CancelScope() as self._waiting:
            async with self.runner:
                self._waiting = None
                self.running = True
                # A model that was stopped before a restart stays stopped until it has a new deployment.
                for record in await in_thread(self._store.models):
                    model = self.runner.models.get(record.model_id)
                    same = model is not None and model.deployment_id == record.deployment_id
                    if record.state == State.STOPPED and same:
                        await self.runner.stop(record.model_id, record.reason or "it was stopped", report=False)
                play = self._play_live if self.feed.live else self._play_back
                await play(self.feed.rows(last.time if last else None, self._tell))
                await self._save([], [])

    @property
    def _over(self) -> bool:
        return self._stopping or self.ticks >= self._max_ticks

    async def _play_back(self, rows: AsyncIterator[Row]) -> None:
        async with _closing(rows):
            async for row in rows:
                await self._play(row, row.time)
                if self._over:
                    break

    async def _play_live(self, rows: AsyncIterator[Row]) -> None:
        """Play every row, by the wall clock, and what is due when none comes."""
        arriving = _Arriving(rows)
        async with beside(arriving.pump):
            with suppress(anyio.EndOfStream):
                while not self._over:
                    row = await self._next_row(arriving.rows)
                    await self._play(row, self._clock())
        arriving.close()
        if arriving.error is not None:
            raise arriving.error

    async def _next_row(self, rows: MemoryObjectReceiveStream[Row]) -> Row | None:
        """The next row; None when a round is due before it comes."""
        with suppress(anyio.WouldBlock):
            return rows.receive_nowait()
        now, wait = self._clock(), math.inf
        if self._history.latest is not None:
            wait = min(next_slot(ask.every, self._last.get(ask.key), now) for ask in self.game.asks)
        row = None
        with anyio.move_on_after(wait) as self._waiting:
            row = await rows.receive()
        self._waiting = None
        return row

    async def _play(self, row: Row | None, now: datetime) -> None:
        """Tick a row, if there is one, play every round that is due, and store it all."""
        if row is not None:
            self._history.append(row)
            if self.game.tick is not None:
                told = await self._call("tick", *self.game.tick_arguments(row))
                self._tell(TickPlayed(row.time, told))
            self.ticks += 1
        predictions = []
        for ask in self.game.asks:
            if self._history.latest is not None and self._is_due(ask, now):
                predictions += await self._ask(ask, now)
        # In one transaction: after a kill in between, the next worker would tick the row but not ask for its rounds.
        await self._save([row] if row is not None else [], predictions)
        if self.game.history is not None:
            before = now - self.game.history
            kept = len(self._history)
            self._history.forget(before)
            first = self._history.at(before)
            if first is not None and len(self._history) < kept:
                await in_thread(self._store.forget_rows, first.time)
        if self._after_row is not None:
            await self._after_row(now)

    def _is_due(self, ask: Ask, now: datetime) -> bool:
        slot = due(ask.every, self._last.get(ask.key), now)
        if slot is None:
            return False
        if not self.feed.live:
            return True  # in a replay no time passes between rows, so nothing is late or missed
        if slot.missed:
            self.missed += slot.missed
            self._tell(RoundsMissed(ask.key, slot.slot, slot.missed))
        if slot.late:
            self.late += 1
            self._tell(RoundLate(ask.key, slot.slot, slot.late))
        return True

    async def _ask(self, ask: Ask, now: datetime) -> list[Prediction]:
        arguments = ask.arguments_for(self._history.latest)
        played = await self._call(ask.method.name, **arguments)
        self._last[ask.key] = now
        self.rounds += 1
        self._tell(RoundPlayed(ask.key, now, played))
        return [_prediction(ask, arguments, now, outcome) for outcome in played.values()]

    async def _call(self, method: str, *args: Any, **kwargs: Any) -> Round:
        return await self.runner.call(method, *args, per_model=self._per_model(method), **kwargs)

    def _per_model(self, method: str) -> PerModel | None:
        if self.game.per_model is None:
            return None
        bound = self.game.contract.method(method)
        return lambda model: self.game.extra_for(bound, model, self._standing_of(model.id))

    async def _replay_to(self, model: Model, runner: ModelRunner) -> None:
        """Tick a fresh instance with the rows that it missed, the current one included."""
        latest = self._history.latest
        if latest is None or self.game.tick is None:
            return
        since = datetime.min.replace(tzinfo=UTC) if self.game.warmup is None else latest.time - self.game.warmup
        done: datetime | None = None
        while rows := [row for row in self._history.between(done or since, latest.time) if row.time != done]:
            for row in rows:
                told = await runner.call(
                    "tick", *self.game.tick_arguments(row), models=[model.id], per_model=self._per_model("tick")
                )
                # It was stopped or has left meanwhile.
                if all(outcome.status is Status.SKIPPED for outcome in told.values()):
                    return
                done = row.time
            latest = self._history.latest or latest

    async def _save(self, rows: Sequence[Row], predictions: Sequence[Prediction]) -> None:
        changed = []
        for model in self.runner.models.values():
            record = ModelRecord(model.id, model.name, model.deployment_id, str(model.state), model.health.reason)
            # Records are compared, so that a store is not written to only because models are still the same.
            if self._known.get(model.id) != record:
                self._known[model.id] = record
                changed.append(record)
        if rows or predictions or changed:
            await in_thread(self._store.save, rows, predictions, changed)
            self.predictions += len(predictions)


class _Arriving:
    """Buffers the rows of a live feed. If it fails, the error is kept until the rows before it are played."""

    def __init__(self, rows: AsyncIterator[Row]) -> None:
        self._feed = rows
        self._arrived, self.rows = anyio.create_memory_object_stream[Row](10_000)
        self.error: Exception | None = None

    async def pump(self) -> None:
        try:
            async with self._arrived, _closing(self._feed):
                async for row in self._feed:
                    await self._arrived.send(row)
        except Exception as error:  # noqa: BLE001 - raised again by the worker
            self.error = error

    def close(self) -> None:
        self._arrived.close()
        self.rows.close()


@asynccontextmanager
async def _closing(rows: AsyncIterator[Row]) -> AsyncIterator[None]:
    """Close the iterator afterwards, if it can be closed."""
    try:
        yield
    finally:
        if isinstance(rows, AsyncGenerator):
            await rows.aclose()


def _prediction(ask: Ask, arguments: Mapping[str, Any], now: datetime, outcome: Outcome) -> Prediction:
    status, value = outcome.status, outcome.value
    error = None if outcome.error is None else outcome.error.message
    try:
        encode(value)
    except ValueError as reason:  # without a return annotation, an answer may have a type that JSON lacks
        status, value, error = Status.INVALID, None, f"the answer cannot be stored: {reason}"
    return Prediction(
        model_id=outcome.model_id,
        deployment_id=outcome.deployment_id,
        key=ask.key,
        at=now,
        resolves_at=now + timedelta(seconds=ask.horizon),
        horizon=ask.horizon,
        arguments=arguments,
        status=status,
        value=value,
        error=error,
        elapsed=outcome.elapsed,
    )
