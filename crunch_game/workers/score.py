"""ScoreWorker: scores the predictions whose horizon has passed, and keeps the leaderboard."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from crunch_game.faults import said
from crunch_game.feeds.history import History
from crunch_game.game import Game
from crunch_game.scoring.base import BatchScorer
from crunch_game.scoring.leaderboard import Standing
from crunch_game.storage.base import Prediction, Score, Store
from crunch_game.workers.base import in_thread

__all__ = ["ScoreWorker"]


class ScoreWorker:
    """Scores the predictions whose horizon has passed, and keeps the leaderboard. Needs no models.

    Not to be used on the event loop that calls models: its methods compute, and wait for the store.

    Args:
        game: The game.
        store: Where a PredictWorker keeps predictions and rows, in this process or another.
        patience: Seconds after its horizon that a prediction waits for `resolve` to know the truth, before it is
            set aside. A week, or the horizon if that is longer, unless given.
    """

    def __init__(self, game: Game, store: Store, *, patience: float | None = None) -> None:
        self._game = game
        self._store = store
        self._patience = patience
        self._history = History()
        self._board = game.leaderboard()
        self._board_since: datetime | None = None

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
        if scores:
            self._store.settle(scores)
            self._board.add(scores)
        return scores

    def standings(self, now: datetime) -> list[Standing]:
        """The leaderboard at that moment on the game's clock; it is also noted in the store."""
        self._load(now)
        standings = self._board.standings(now, self._store.first_rounds())
        board = [asdict(standing) for standing in standings]
        note = {"game": self._game.name, "at": now.isoformat(), "rank_by": self._game.rank_by, "leaderboard": board}
        self._store.note("leaderboard", note)
        return standings

    async def run(self, every: float = 1.0, on_scores: Callable[[list[Score]], Any] | None = None) -> None:
        """Score on a thread, again and again, by the wall clock; until cancelled."""
        while True:
            scores = await in_thread(self.step, datetime.now(UTC))
            if scores and on_scores is not None:
                on_scores(scores)
            await anyio.sleep(every)

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
            return None, f"resolve raised {said(error)}"
        patience = self._patience or max(7 * 86400.0, prediction.horizon)
        if outcome is None and (now - prediction.resolves_at).total_seconds() > patience:
            return None, f"resolve did not know the truth {patience:g} s after the horizon"
        return outcome, None

    def _scored(self, known: Sequence[tuple[Prediction, Any]]) -> list[Score]:
        scorer = self._game.scorer
        values: Sequence[Any]
        if known and isinstance(scorer, BatchScorer):
            predictions, outcomes = zip(*known, strict=True)
            values = scorer.score_many(list(predictions), list(outcomes))
        else:
            values = [self._value(prediction, outcome) for prediction, outcome in known]
        return [_score(prediction, outcome, value) for (prediction, outcome), value in zip(known, values, strict=True)]

    def _value(self, prediction: Prediction, outcome: Any) -> Any:
        try:
            return self._game.scorer.score(prediction, outcome)
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything; it stops nothing
            return error


def _score(prediction: Prediction, outcome: Any, value: Any) -> Score:
    if isinstance(value, Exception):
        return _set_aside(prediction, outcome, f"score raised {said(value)}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        return _set_aside(prediction, outcome, f"score gave {value!r}, which is no number")
    if not math.isfinite(number):
        return _set_aside(prediction, outcome, f"its score is {number}")
    return Score(prediction.model_id, prediction.key, prediction.at, prediction.resolves_at, number, outcome)


def _set_aside(prediction: Prediction, outcome: Any, reason: str) -> Score:
    return Score(prediction.model_id, prediction.key, prediction.at, prediction.resolves_at, None, outcome, reason)
