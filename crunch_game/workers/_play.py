"""run_game: a PredictWorker and a ScoreWorker together, until the feed ends."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import anyio
from anyio.to_thread import run_sync as in_thread

from crunch_game._public import public
from crunch_game.events import PredictionsSetAside
from crunch_game.feeds.base import Feed
from crunch_game.game import Game
from crunch_game.hosts.base import Host
from crunch_game.runner import Models
from crunch_game.scoring import Standing
from crunch_game.storage import MemoryStore
from crunch_game.storage.base import ModelRecord, Score, Store
from crunch_game.workers._base import Listener, Standings, beside, feed_of, safely
from crunch_game.workers._predict import PredictWorker
from crunch_game.workers._score import ScoreWorker

_STANDINGS_INTERVAL = 0.5
"""Seconds between two `Standings` that listeners are told."""
_MAX_REASONS = 20
"""Reasons that are counted one by one: they may contain values, and then each is another one."""
_OTHERS = "other reasons"


@public
@dataclass(frozen=True)
class GameResult:
    """The result of a run of a game. Printed, it is the leaderboard.

    Attributes:
        ticks: How many rows of the feed were played.
        rounds: How many rounds of predictions were played.
        predictions: How many predictions were stored, failed ones included.
        missed: How many rounds were not played, because no data arrived or the game did not run.
        late: How many rounds were played late.
        scored: How many predictions got a score.
        set_aside: How many predictions could not be scored, by reason.
        waiting: How many predictions have passed their horizon, but `resolve` does not know the outcome yet.
        leaderboard: The standings at the end, best first.
        models: The models, and their states at the end.
    """

    ticks: int = 0
    rounds: int = 0
    predictions: int = 0
    missed: int = 0
    late: int = 0
    scored: int = 0
    set_aside: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    leaderboard: Sequence[Standing] = ()
    models: Sequence[ModelRecord] = ()

    def __str__(self) -> str:
        rows = self._table()
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)

    def _table(self) -> list[list[str]]:
        """Return the cells of the leaderboard as text; the first row has the names of the columns."""
        windows = list(self.leaderboard[0].scores) if self.leaderboard else []
        rows = [["rank", "model", *windows, "coverage"]]
        for standing in self.leaderboard:
            scores = ["" if score is None else f"{score:.6g}" for score in standing.scores.values()]
            rows.append([str(standing.rank), standing.model_id, *scores, f"{standing.coverage:.1%}"])
        return rows


@public
async def run_game(
    game: Game,
    models: Models,
    *,
    store: Store | None = None,
    feed: Feed | None = None,
    host: Host | Literal["process", "inline"] | None = None,
    max_ticks: int | None = None,
    on_event: Listener | None = None,
    on_start: Callable[[PredictWorker], Any] | None = None,
) -> GameResult:
    """Play a game: predict and score together, until the feed ends.

    In a replay, each row is scored before the next is played, so that the same data gives the same result. In a live
    game, scoring runs beside the rounds. Either way it runs on a thread of its own.

    Args:
        game: The game.
        models: As for ModelRunner.
        store: Where everything is kept; by default in memory.
        feed: Replaces the game's own.
        host: As for ModelRunner.
        max_ticks: Stop after this many rows.
        on_event: Called with every event, and about twice a second with `Standings`.
        on_start: Called with the PredictWorker before it runs, for its `stop()`.
    """
    if store is None:
        store = MemoryStore()
    scorer = ScoreWorker(game, store)
    scoring = _Scoring(scorer, on_event, lockstep=game.per_model is not None)
    live = feed_of(game, feed).live
    worker = PredictWorker(
        game,
        models,
        store,
        feed=feed,
        host=host,
        on_event=on_event,
        after_row=None if live else scoring.after_row,
        standing_of=scoring.standing_of,
        max_ticks=max_ticks,
    )
    if on_start is not None:
        on_start(worker)
    standings = await _play_and_score(worker, scoring, store, live=live)
    records = await in_thread(store.models)
    return GameResult(
        ticks=worker.ticks,
        rounds=worker.rounds,
        predictions=worker.predictions,
        missed=worker.missed,
        late=worker.late,
        scored=scoring.scored,
        set_aside=dict(scoring.set_aside),
        waiting=scorer.waiting,
        leaderboard=standings,
        models=records,
    )


async def _play_and_score(worker: PredictWorker, scoring: _Scoring, store: Store, *, live: bool) -> Sequence[Standing]:
    """Run both workers until the feed ends, and return the standings then."""
    if live:
        async with beside(scoring.run):
            await worker.run()
    else:
        last = await in_thread(store.last_row)
        if last is not None:  # a run before this one may have ended between a row and its scores
            await scoring.after_row(last.time)
        await worker.run()
    last = await in_thread(store.last_row)
    return [] if last is None else await scoring.after_row(datetime.now(UTC) if live else last.time, last=True)


class _Scoring:
    """A ScoreWorker on a thread, beside a PredictWorker on the event loop."""

    def __init__(self, worker: ScoreWorker, on_event: Listener | None, *, lockstep: bool) -> None:
        self._worker = worker
        self._tell = safely(on_event)
        self.scored = 0
        self.set_aside: Counter[str] = Counter()
        self._lockstep = lockstep
        self._by_id: Mapping[str, Standing] = {}
        self._shown = -math.inf

    def standing_of(self, model_id: str) -> Standing | None:
        return self._by_id.get(model_id)

    async def after_row(self, now: datetime, *, last: bool = False) -> Sequence[Standing]:
        """Score what can be scored at this time on the game's clock; the standings, if they are due, as at the end."""
        show = last or time.monotonic() - self._shown > _STANDINGS_INTERVAL
        scores, standings = await in_thread(self._step, now, show or self._lockstep)
        self._count(scores)
        if standings is None:
            return ()
        self._by_id = {standing.model_id: standing for standing in standings}
        if show:
            self._shown = time.monotonic()
            self._tell(Standings(now, standings))
        return standings

    def _step(self, now: datetime, rank: bool) -> tuple[list[Score], Sequence[Standing] | None]:
        return self._worker.step(now), self._worker.standings(now) if rank else None

    async def run(self) -> None:
        """Score repeatedly, by the wall clock, until cancelled."""
        while True:
            await self.after_row(datetime.now(UTC))
            await anyio.sleep(_STANDINGS_INTERVAL)

    def _count(self, scores: Sequence[Score]) -> None:
        """Count new scores, and report each reason for setting predictions aside once."""
        # A game that sets aside thousands of predictions for one reason must not log thousands of lines.
        aside = Counter(score.reason for score in scores if score.reason is not None)
        self.scored += len(scores) - aside.total()
        for reason, count in aside.items():
            if reason in self.set_aside:
                self.set_aside[reason] += count
            elif len(self.set_aside) < _MAX_REASONS:
                self.set_aside[reason] = count
                self._tell(PredictionsSetAside(count, reason))
            else:
                self.set_aside[_OTHERS] += count
