"""ScoreWorker: scores the predictions whose horizon has passed, and keeps the leaderboard."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from reprlib import repr as brief
from typing import Any

import anyio

from crunch_game.errors import MissingExtra
from crunch_game.faults import describe_exception
from crunch_game.feeds.history import History
from crunch_game.game import Game
from crunch_game.public import public
from crunch_game.scoring.base import BatchScorer
from crunch_game.scoring.leaderboard import Standing
from crunch_game.storage.base import Prediction, Score, Store
from crunch_game.storage.codec import encode
from crunch_game.workers.base import in_thread

__all__ = ["ScoreWorker"]

logger = logging.getLogger("crunch_game")


@public
class ScoreWorker:
    """Scores the predictions whose horizon has passed, and keeps the leaderboard. Needs no models.

    Not to be used on the event loop that calls models: its methods compute, and wait for the store.

    Args:
        game: The game.
        store: Where a PredictWorker keeps predictions and rows, in this process or another.
        patience: Seconds of rows after its horizon that a prediction waits for `resolve` to know the truth, before
            it is set aside; while no rows come it waits on. A week, or the horizon if that is longer, unless given.

    Attributes:
        waiting: How many predictions whose horizon has passed the last step left, for `resolve` knew no truth yet.

    Raises:
        MissingExtra: The game's scorer needs a library that is not installed.
    """

    def __init__(self, game: Game, store: Store, *, patience: float | None = None) -> None:
        self._game = game
        self._store = store
        self._patience = patience
        self.waiting = 0
        self._history = History()
        self._board = game.leaderboard()
        self._board_since: datetime | None = None
        prepare = getattr(game.scorer, "prepare", None)
        if callable(prepare):
            prepare()  # what it lacks is told now, not when the first horizon has passed

    def step(self, now: datetime) -> list[Score]:
        """Score what can be scored at that moment on the game's clock; returns the new scores."""
        self._load(now)
        pending = self._store.pending(now)
        known = []
        scores = []
        for prediction in pending:
            outcome, reason = self._outcome(prediction, now)
            if reason is not None:
                scores.append(_set_aside(prediction, outcome, reason))
            elif outcome is not None:
                known.append((prediction, outcome))
        scores += self._scored(known)
        self.waiting = len(pending) - len(scores)
        if scores:
            self._store.settle(scores)
            self._board.add(scores)
        if self._game.history is not None:
            self._history.forget(now - self._game.history)
        return scores

    def standings(self, now: datetime) -> list[Standing]:
        """The leaderboard at that moment on the game's clock; it is also noted in the store."""
        self._load(now)
        standings = self._board.standings(now, self._store.first_rounds())
        board = [asdict(standing) for standing in standings]
        note = {"game": self._game.name, "at": now.isoformat(), "rank_by": self._game.rank_by, "leaderboard": board}
        self._store.note("leaderboard", note)
        return standings

    async def run(
        self,
        every: float = 1.0,
        on_scores: Callable[[list[Score]], Any] | None = None,
        *,
        live: bool | None = None,
    ) -> None:
        """Score on a thread, and note the leaderboard, again and again; until cancelled.

        Args:
            every: Seconds between two looks at the store.
            on_scores: Called with the new scores.
            live: Whether the wall clock rules, or the times of the rows (a replay, played by another process). The
                game's own feed says so unless given.
        """
        if live is None:
            live = self._game.feed is None or self._game.feed.live
        while True:
            scores = await in_thread(self._look, live)
            if scores and on_scores is not None:
                on_scores(scores)
            await anyio.sleep(every)

    def _look(self, live: bool) -> list[Score]:
        last = self._store.last_row()
        if last is None:
            return []
        now = datetime.now(UTC) if live else last.time
        scores = self.step(now)
        self.standings(now)
        return scores

    def _load(self, now: datetime) -> None:
        """Take in what the store has got since the last time."""
        if self._board_since is None:
            self._board_since = now - timedelta(seconds=max(self._game.windows.values()))
            self._board.add(self._store.scores(self._board_since))
        latest = self._history.latest
        for row in self._store.rows(None if latest is None else latest.time):
            if latest is None or row.time > latest.time:
                self._history.append(row)

    def _outcome(self, prediction: Prediction, now: datetime) -> tuple[Any, str | None]:
        """What happened, or why the prediction is set aside; neither while the truth is not known yet."""
        try:
            outcome = self._game.resolve(prediction, self._history)
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything; it stops nothing
            return None, f"resolve raised {describe_exception(error)}"
        if outcome is None:
            return None, self._given_up(prediction, now)
        try:
            encode(outcome)
        except ValueError as error:
            return None, f"resolve gave {brief(outcome)}, which cannot be stored: {error}"
        return outcome, None

    def _given_up(self, prediction: Prediction, now: datetime) -> str | None:
        """Why a prediction whose truth is not known waits no longer, or None."""
        patience = max(7 * 86400.0, prediction.horizon) if self._patience is None else self._patience
        latest = self._history.latest
        seen = min(now, latest.time) if latest is not None else prediction.at
        if (seen - prediction.resolves_at).total_seconds() > patience:
            return f"resolve did not know the truth {patience:g} s after the horizon"
        return None

    def _scored(self, known: Sequence[tuple[Prediction, Any]]) -> list[Score]:
        scorer = self._game.scorer
        values: Sequence[Any]
        if known and isinstance(scorer, BatchScorer):
            values = self._values(scorer, known)
        else:
            values = [self._value(prediction, outcome) for prediction, outcome in known]
        return [_score(prediction, outcome, value) for (prediction, outcome), value in zip(known, values, strict=True)]

    def _values(self, scorer: BatchScorer, known: Sequence[tuple[Prediction, Any]]) -> Sequence[Any]:
        predictions, outcomes = zip(*known, strict=True)
        try:
            values = scorer.score_many(list(predictions), list(outcomes))
            if len(values) == len(known):
                return values
        except MissingExtra:
            raise
        except Exception as error:  # noqa: BLE001 - one by one, it fails those that it must
            logger.warning("score_many raised %s; scoring one by one", describe_exception(error))
        return [self._value(prediction, outcome) for prediction, outcome in known]

    def _value(self, prediction: Prediction, outcome: Any) -> Any:
        try:
            return self._game.scorer.score(prediction, outcome)
        except MissingExtra:
            raise
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything; it stops nothing
            return error


def _score(prediction: Prediction, outcome: Any, value: Any) -> Score:
    if isinstance(value, Exception):
        return _set_aside(prediction, outcome, f"score raised {describe_exception(value)}")
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        return _set_aside(prediction, outcome, f"score gave {brief(value)}, which is no finite number")
    return Score(prediction.model_id, prediction.key, prediction.at, prediction.resolves_at, number, outcome)


def _set_aside(prediction: Prediction, outcome: Any, reason: str) -> Score:
    return Score(prediction.model_id, prediction.key, prediction.at, prediction.resolves_at, None, outcome, reason)
