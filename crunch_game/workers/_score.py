"""ScoreWorker: scores the predictions whose horizon has passed, and updates the leaderboard."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from reprlib import repr as brief
from typing import Any

import anyio
from anyio.to_thread import run_sync as in_thread

from crunch_game._public import public
from crunch_game.errors import MissingExtra
from crunch_game.faults import describe_exception
from crunch_game.feeds import History
from crunch_game.game import Game
from crunch_game.scoring import Standing
from crunch_game.scoring.base import BatchScorer
from crunch_game.storage import encode
from crunch_game.storage.base import Prediction, Score, Store

logger = logging.getLogger("crunch_game")


@public
class ScoreWorker:
    """Scores the predictions whose horizon has passed, and updates the leaderboard. Needs no models.

    Its methods compute, and wait for the store. Do not call them on the event loop that calls models.

    Args:
        game: The game.
        store: Where a PredictWorker, in this process or another, keeps predictions and rows.
        patience: If `resolve` does not know an outcome this many seconds after the horizon, the prediction is set
            aside. Only time in which rows came counts. By default a week, or the horizon if that is longer.

    Attributes:
        waiting: How many predictions are past their horizon and were not scored by the last step, since `resolve`
            does not know the outcome yet.

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
            prepare()  # a missing library is reported now, not when the first horizon has passed

    def step(self, now: datetime) -> list[Score]:
        """Score what can be scored at this time on the game's clock, and return the new scores."""
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
        scores += [_score(*each, value) for each, value in zip(known, self._values(known), strict=True)]
        # Some pending predictions got no score: their outcome is not known yet.
        self.waiting = len(pending) - len(scores)
        if scores:
            # Settled before the leaderboard has them: after a kill in between, the board is loaded from the store.
            self._store.settle(scores)
            self._board.add(scores)
        if self._game.history is not None:
            self._history.forget(now - self._game.history)
        return scores

    def standings(self, now: datetime) -> list[Standing]:
        """Return the leaderboard at this time on the game's clock, and note it in the store."""
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
        """Score on a thread, and note the leaderboard, repeatedly until cancelled.

        Args:
            every: Seconds between two steps.
            on_scores: Called with the new scores.
            live: Whether the wall clock is the game's clock, or the times of the rows are (of a replay in another
                process). By default as the game's own feed says.
        """
        if live is None:
            live = self._game.feed is None or self._game.feed.live

        def step() -> list[Score]:
            last = self._store.last_row()
            if last is None:
                return []
            now = datetime.now(UTC) if live else last.time
            scores = self.step(now)
            self.standings(now)
            return scores

        while True:
            scores = await in_thread(step)
            if scores and on_scores is not None:
                on_scores(scores)
            await anyio.sleep(every)

    def _load(self, now: datetime) -> None:
        """Load the rows that the store got since the last time; the first time, past scores too."""
        if self._board_since is None:
            self._board_since = now - timedelta(seconds=max(self._game.windows.values()))
            self._board.add(self._store.scores(self._board_since))
        latest = self._history.latest
        for row in self._store.rows(None if latest is None else latest.time):
            if latest is None or row.time > latest.time:
                self._history.append(row)

    def _outcome(self, prediction: Prediction, now: datetime) -> tuple[Any, str | None]:
        """Return the outcome, or why the prediction is set aside; neither if the outcome is not known yet."""
        try:
            outcome = self._game.resolve(prediction, self._history)
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything, and must not stop the game
            return None, f"resolve raised {describe_exception(error)}"
        if outcome is None:
            return None, self._patience_ended(prediction, now)
        try:
            encode(outcome)
        except ValueError as error:
            return None, f"resolve gave {brief(outcome)}, which cannot be stored: {error}"
        return outcome, None

    def _patience_ended(self, prediction: Prediction, now: datetime) -> str | None:
        """Say why a prediction without outcome is set aside, or return None if it still waits."""
        patience = max(7 * 86400.0, prediction.horizon) if self._patience is None else self._patience
        latest = self._history.latest
        seen = min(now, latest.time) if latest is not None else prediction.at
        if (seen - prediction.resolves_at).total_seconds() > patience:
            return f"resolve did not know the truth {patience:g} s after the horizon"
        return None

    def _values(self, known: Sequence[tuple[Prediction, Any]]) -> Sequence[Any]:
        """What the scorer gives for each of them, or raises."""
        scorer = self._game.scorer
        if known and isinstance(scorer, BatchScorer):
            predictions, outcomes = zip(*known, strict=True)
            try:
                values = scorer.score_many(list(predictions), list(outcomes))
                if len(values) == len(known):
                    return values
            except MissingExtra:
                raise
            except Exception as error:  # noqa: BLE001 - scored one by one, only the bad ones fail
                logger.warning("score_many raised %s; scoring one by one", describe_exception(error))
        return [self._value(prediction, outcome) for prediction, outcome in known]

    def _value(self, prediction: Prediction, outcome: Any) -> Any:
        try:
            return self._game.scorer.score(prediction, outcome)
        except MissingExtra:
            raise
        except Exception as error:  # noqa: BLE001 - the author's code may raise anything, and must not stop the game
            return error


def _score(prediction: Prediction, outcome: Any, value: Any) -> Score:
    if isinstance(value, Exception):
        return _set_aside(prediction, outcome, f"score raised {describe_exception(value)}")
    try:
        # float() would accept text, and a scorer that returns text is wrong.
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        return _set_aside(prediction, outcome, f"score gave {brief(value)}, which is no finite number")
    return Score(prediction.model_id, prediction.key, prediction.at, prediction.resolves_at, number, outcome)


def _set_aside(prediction: Prediction, outcome: Any, reason: str) -> Score:
    return Score(prediction.model_id, prediction.key, prediction.at, prediction.resolves_at, None, outcome, reason)
