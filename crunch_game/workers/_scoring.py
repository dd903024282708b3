"""A ScoreWorker on a thread: how its steps are made, and what comes of them is counted and told."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

import anyio
from anyio.to_thread import run_sync as in_thread

from crunch_game.errors import CrunchGameError, StoreUnavailable
from crunch_game.events import PredictionsSetAside
from crunch_game.ranking import Standing
from crunch_game.storage.base import Score
from crunch_game.workers._base import Absence, Listener, Standings, safely
from crunch_game.workers._score import ScoreWorker

_STANDINGS_INTERVAL = 0.5
"""Seconds between two `Standings` that listeners are told."""
_AT_A_TIME = 2.0
"""Seconds for which is scored before standings are made, and told: of a long game these take a while, too."""
_MAX_REASONS = 20
"""Reasons that are counted one by one: they may contain values, and then each is another one."""
_OTHERS = "other reasons"


class Scoring:
    """A ScoreWorker on a thread, beside a PredictWorker on the event loop, or alone.

    Args:
        worker: What scores.
        on_event: Called with `Standings`, and with PredictionsSetAside.
        lockstep: Whether standings are made with every step, and not only as often as they are told.

    Attributes:
        assure: Called before each step, on its thread: it raises if another worker has this one's place.
        scored: How many predictions got a score.
        set_aside: How many could not be scored, by reason.
    """

    def __init__(self, worker: ScoreWorker, on_event: Listener | None, *, lockstep: bool = False) -> None:
        self._worker = worker
        self._tell = worker.log.before(safely(on_event))
        self.assure: Callable[[], None] = lambda: None
        self.scored = 0
        self.set_aside: Counter[str] = Counter()
        self._lockstep = lockstep
        self._by_id: Mapping[str, Standing] = {}
        self._shown = -math.inf
        self._stopping = anyio.Event()

    @property
    def waiting(self) -> int:
        """How many predictions are due, and have no known outcome."""
        return self._worker.waiting

    def standing_of(self, model_id: str) -> Standing | None:
        return self._by_id.get(model_id)

    async def after_row(self, now: datetime | None = None, *, last: bool = False) -> Mapping[str, Sequence[Standing]]:
        """Score what the rows up to `now`, or all, resolve; the standings, if they are due, as at the end.

        If much is due, standings are told meanwhile, too. `stop` ends it after what is in hand.
        """
        steps = self._worker.steps(now)
        while True:
            show = last or time.monotonic() - self._shown > _STANDINGS_INTERVAL
            scores, standings, is_over = await in_thread(self._step, steps, show or self._lockstep)
            self._count(scores)
            if standings is not None:
                self._by_id = {standing.model_id: standing for standing in standings.standings}
                if show:
                    self._shown = time.monotonic()
                    self._tell(standings)
            if is_over or self._stopping.is_set():
                return {} if standings is None else standings.boards

    def _step(self, steps: Iterator[list[Score]], rank: bool) -> tuple[list[Score], Standings | None, bool]:
        """Score for some seconds; the scores, the standings, if they are wanted, and whether all is scored."""
        until = time.monotonic() + _AT_A_TIME
        scores: list[Score] = []
        is_over = False
        while not is_over and time.monotonic() < until and not self._stopping.is_set():
            self.assure()
            some = next(steps, None)
            is_over = some is None
            scores += some or ()
        newest = self._worker.newest
        if not rank or newest is None:
            return scores, None, is_over
        boards = self._worker.all_standings(newest)
        return scores, Standings(newest, next(iter(boards.values())), boards), is_over

    async def run(self) -> None:
        """Score repeatedly, until cancelled, or until `stop`: then it ends with what is in hand.

        A store that is away is waited for.
        """
        absence = Absence(self._tell)
        while not self._stopping.is_set():
            pause = _STANDINGS_INTERVAL
            try:
                await self.after_row()
                absence.over()
            except StoreUnavailable as error:
                self._worker.start_anew()
                pause = absence.noted(error)
            with anyio.move_on_after(pause):
                await self._stopping.wait()

    def stop(self) -> None:
        """End `run`. On the event loop."""
        self._stopping.set()

    async def save_log(self) -> None:
        """Keep what was told last, however the game ended: that is raised, and not what comes of this write."""
        with anyio.CancelScope(shield=True), suppress(CrunchGameError):
            await in_thread(self._worker.save_log)

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
