"""PredictWorker: tells models a feed's rows, and asks them when the game's timetable says so; it stores both."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import anyio
from anyio.to_thread import run_sync as in_thread

from crunch_game._public import public
from crunch_game._slots import Step, Timetable
from crunch_game.errors import CrunchGameError, StoreUnavailable
from crunch_game.events import RoundsMissed
from crunch_game.feeds import cleaned
from crunch_game.feeds.base import Feed, Row
from crunch_game.game import Game
from crunch_game.hosts import host_of
from crunch_game.hosts.base import Host
from crunch_game.hosts.process.engine import loop_caller
from crunch_game.policy import State
from crunch_game.ranking import Standing
from crunch_game.runner import ModelRunner, Models
from crunch_game.storage.base import Arrival, Store
from crunch_game.storage.journal import journal_of
from crunch_game.workers._base import Listener, beside, claim, feed_of, roster_and_host, safely
from crunch_game.workers._deployments import Deployments
from crunch_game.workers._eventlog import EventLog
from crunch_game.workers._lease import Hold, leased
from crunch_game.workers._pruning import note_needs
from crunch_game.workers.predicting import (
    Clock,
    Executor,
    Hooks,
    Live,
    Notices,
    Outbox,
    Recorded,
    WallClock,
    Warmup,
    Wishes,
    closing,
    recorded_steps,
)

logger = logging.getLogger("crunch_game")

_READY_TIMEOUT: Final = 5.0


@public
class PredictWorker:
    """Tells models a feed's rows, and asks them in the slots of the game; it stores rows and answers.

    A slot's answers are stored in one transaction, with the rows before it. A new worker on the same store goes on
    where this one has stopped, so that no prediction is made twice. A fresh instance is first told the rows that it
    missed (`Game.warmup`). One worker at a time plays on a store.

    Args:
        game: The game.
        models: As for ModelRunner.
        store: Where everything is kept.
        feed: Replaces the game's own.
        host: Replaces the game's own, and the one that a roster needs; "process" is the game's, if it states one.
        on_event: Called with the events of the runner, the feed and the worker.
        after_row: Awaited with the newest row's time, whenever a row and what follows from it are stored.
        standing_of: Returns a model's standing, for `Game.per_model`. Unless given it is what a ScoreWorker, in this
            process or another, has noted in the store; it is looked for about once a second, so not by every row of a
            replay.
        max_ticks: Stop after this many rows.
        journal: The folder for what a live game cannot store for now, best on another disk than the store; by default
            `crunch-game` in $XDG_STATE_HOME, or in `~/.local/state`.
        clock: The wall clock, UTC, or a Clock; used only with a live feed.

    Attributes:
        runner: The ModelRunner; it can be called while `running`.
        ticks, rounds, predictions, missed, late: Counts, as in `GameResult`.

    Raises:
        UsageError: There is no feed.
        GameError: The feed is live, and the budgets of the predictions do not fit into the time between their slots.
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
        standing_of: Callable[[str], Standing | None] | None = None,
        max_ticks: int | None = None,
        journal: Path | None = None,
        clock: Clock | Callable[[], datetime] | None = None,
    ) -> None:
        self.game = game
        self.feed = feed_of(game, feed)
        if self.feed.live:
            game.check_load()
        roster, place = roster_and_host(game, models, host)
        self._clock = _clock_of(clock)
        self._log = EventLog(store, self._clock.now, lambda: self._newest)
        self.runner = ModelRunner(
            game.contract,
            roster,
            host=host_of(place),
            policy=game.policy,
            loader=game.loader,
            init_args=game.init_args,
            init_kwargs=game.init_kwargs,
            on_event=self._log.before(on_event or safely(None)),
            # A live game does not wait for slow models. A replay does: its result must not depend on their speed.
            ready_timeout=_READY_TIMEOUT if self.feed.live else game.policy.setup_timeout,
        )
        self._store = store
        # A market closes every night: what history has no rows for, it misses, and the result says how often.
        self._tell = self._log.before(safely(on_event, unlogged=() if self.feed.live else (RoundsMissed,)))
        self._after_row = after_row
        self._max_ticks = math.inf if max_ticks is None else max_ticks
        ranked = game.per_model is not None and standing_of is None
        self._notices = Notices(store, ranked=ranked, wishes=lambda: self._wishes.look())
        self._hooks = Hooks(game, self._tell, standing_of or self._notices.standing_of)
        self._journal = journal
        self._outbox = Outbox(store, self._tell)
        self._steps = Executor(game, self.runner, store, self._outbox, self._hooks, self._tell, self._log)
        self._wishes = Wishes(store, self.runner, self._steps.save_models)
        self.runner.on_join(Warmup(game, self._hooks, self._steps.history).introduce)
        self._stopping = False
        self._wake: Callable[[Callable[[], None]], None] | None = None
        self._idle: anyio.CancelScope | None = None
        """Around whatever may be waited for when there is nothing to do."""
        self.running = False

    @property
    def ticks(self) -> int:
        """How many rows were told."""
        return self._steps.ticks

    @property
    def rounds(self) -> int:
        """How many rounds of predictions were played."""
        return self._steps.rounds

    @property
    def predictions(self) -> int:
        """How many predictions were stored."""
        return self._steps.predictions

    @property
    def missed(self) -> int:
        """How many rounds were not played."""
        return self._steps.missed

    @property
    def late(self) -> int:
        """How many rounds were played late."""
        return self._steps.late

    def stop(self) -> None:
        """End `run` when the current row is stored; at once if models are still being loaded. From any thread."""
        self._stopping = True
        if self._wake is not None:
            with suppress(RuntimeError):  # it has ended by itself, and its event loop is closed
                self._wake(self._cancel_idle)

    def _cancel_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()

    async def run(self) -> None:
        """Play until the feed ends, `max_ticks` rows are played, or `stop` is called.

        Raises:
            FeedError: The feed cannot be read. The rows before were played and stored.
            UsageError: The store is another game's, or another worker plays on it.
            GameError: The author's code fails for the first row of all.
        """
        self._wake = loop_caller()
        await in_thread(claim, self._store, self.game.name)
        async with leased(self._store, "predict") as hold, self._writing(hold):
            await in_thread(note_needs, self._store, self.game, "predict")
            told, decided = await in_thread(self._known)
            for row in told:
                self._steps.history.append(row)
            self._hooks.is_first = not told
            if self._over:
                return
            try:
                with self._idling():
                    async with self.runner:
                        self._idle = None
                        self.running = True
                        await self._stop_again()
                        await self._wishes.look(starting=True)
                        await self._notices.look()
                        async with beside(self._notices.run):
                            await self._play(decided)
                        await self._steps.save((), self._clock.now())
            finally:
                # Whatever ended the game is the last that is to be known of it; it is raised, and not this write's.
                with anyio.CancelScope(shield=True), suppress(CrunchGameError):
                    await self._outbox.finish()
                    await self._steps.save_log()

    @asynccontextmanager
    async def _writing(self, hold: Hold) -> AsyncIterator[None]:
        """Have the outbox at work, and its journal, if the feed is live; what was left in that is written first.

        Raises:
            StoreUnavailable: The store is away at the end, and something waits for it.
        """
        outbox, live = self._outbox, self.feed.live
        outbox.assure = hold.assure
        journal = await in_thread(partial(journal_of, self._store, self.game.name, self._journal, live=live))
        try:
            async with beside(outbox.run):
                await outbox.recover(journal)
                outbox.journal = journal if live else None
                yield
        except BaseException:
            with anyio.CancelScope(shield=True):
                left = await in_thread(outbox.close)
            if left is not None:
                logger.warning("%s", left)
            raise
        if (left := await in_thread(outbox.close)) is not None:
            raise StoreUnavailable(left)

    def _known(self) -> tuple[list[Row], datetime | None]:
        """What the store knows: the rows that were told, and the last slot that was played."""
        if getattr(self._store, "keeps_log", False):
            self._log.deployments = Deployments(self._store.deployments())
        newest, history = self._store.last_row(), self.game.history
        since = None if newest is None or history is None else newest.time - history
        told = told_of(self._store.stream("rows", since))
        played = [*self._store.last_rounds().values()]
        if self.feed.live:  # a slot in which nobody was asked has no predictions
            played += [each.committed for each in self._store.sessions() if each.committed is not None]
        return told, max(played, default=None)

    async def _stop_again(self) -> None:
        """A model that was stopped before a restart stays stopped until it has a new deployment, or is readmitted."""
        readmitted = await self._wishes.readmitted()
        for record in await in_thread(self._store.models):
            self._steps.know(record)
            model = self.runner.models.get(record.model_id)
            same = model is not None and model.deployment_id == record.deployment_id
            if record.state == State.STOPPED and same and record.model_id not in readmitted:
                await self.runner.stop(record.model_id, record.reason or "it was stopped", report=False)
                self._log.deployments.stay_stopped(record.model_id, record.deployment_id)

    @property
    def _over(self) -> bool:
        return self._stopping or self.ticks >= self._max_ticks

    @property
    def _newest(self) -> datetime | None:
        latest = self._steps.history.latest
        return None if latest is None else latest.time

    async def _play(self, decided: datetime | None) -> None:
        recording = getattr(self.feed, "recording", None)
        if self.feed.live:
            table = self.game.timetable(seen=self._newest, decided=decided)
            live = Live(self.feed, table, self._clock, self._store, self._steps, self._tell)
            await live.play(self._carry_out, self._idling)
        elif recording is None:
            await self._play_back(self.game.timetable(seen=self._newest, decided=decided))
        else:
            if recording.sessions:
                self._steps.recorded = Recorded(recording.predictions)
            for steps in recorded_steps(self.game.timetable(), recording, self._newest, decided):
                if not await self._carry_out(steps):
                    return

    async def _play_back(self, table: Timetable) -> None:
        """Play rows that have no arrivals: each is taken to have arrived at its time."""
        rows = self.feed.rows(self._newest, self._tell)
        with self._idling() as idle:
            async with closing(rows):
                async for row in rows:
                    self._idle = None
                    if not await self._carry_out(table.arrive(cleaned(row))):
                        return
                    self._idle = idle

    async def _carry_out(self, steps: Iterable[Step]) -> bool:
        """Carry out the steps. Returns whether more are to follow."""
        before = self.ticks, self.rounds
        await self._steps.carry_out(steps, self._clock.now)
        if self._after_row is not None and self._newest is not None and before != (self.ticks, self.rounds):
            await self._after_row(self._newest)
        return not self._over

    @contextmanager
    def _idling(self) -> Iterator[anyio.CancelScope]:
        """Let `stop` interrupt what is waited for, while the scope is `_idle`."""
        with anyio.CancelScope() as self._idle:
            scope = self._idle
            if self._stopping:
                scope.cancel()
            yield scope
        self._idle = None


def told_of(arrivals: Iterable[Arrival]) -> list[Row]:
    """Those rows that models were told: in the order of their times, without late ones and corrections."""
    told: list[Row] = []
    for arrival in arrivals:
        if arrival.aside is None and (not told or arrival.row.time > told[-1].time):
            told.append(arrival.row)
    return told


def _clock_of(clock: Clock | Callable[[], datetime] | None) -> Clock:
    if clock is None:
        return WallClock()
    return WallClock(clock) if callable(clock) else clock
