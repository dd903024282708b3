"""ScoreWorker: scores the predictions whose horizon has passed, and updates the leaderboard."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from reprlib import repr as brief
from typing import Any

import anyio
from anyio.to_thread import run_sync as in_thread

from crunch_game._public import public
from crunch_game.events import HookFailed
from crunch_game.faults import describe_exception
from crunch_game.feeds import History
from crunch_game.game import Game
from crunch_game.ranking import Standing
from crunch_game.scoring.base import BatchScorer
from crunch_game.storage import encode
from crunch_game.storage.base import Prediction, Score, Store
from crunch_game.workers._base import Listener, safely
from crunch_game.workers._judge import Failed, Judge
from crunch_game.workers._lease import leased

logger = logging.getLogger("crunch_game")

_FORGOTTEN = "the rows of its time are no longer kept (the game's history)"


@public
class ScoreWorker:
    """Scores the predictions whose horizon has passed, and updates the leaderboard. Needs no models.

    Its methods compute, and wait for the store. Do not call them on the event loop that calls models.

    Args:
        game: The game.
        store: Where a PredictWorker, in this process or another, keeps predictions and rows.
        patience: If `resolve` does not know an outcome this many seconds after the horizon, the prediction is set
            aside. Only time in which rows came counts. By default a week, or the horizon if that is longer.

        timeout: Seconds that one call of `resolve` or of the scorer may take, before its prediction is set aside.
        on_event: Called with HookFailed.

    Attributes:
        newest: The time of the newest row that it has looked at.
        waiting: How many predictions are past their horizon and were not scored by the last step, since `resolve`
            does not know the outcome yet.

    Raises:
        MissingExtra: The game's scorer needs a library that is not installed.
    """

    def __init__(
        self,
        game: Game,
        store: Store,
        *,
        patience: float | None = None,
        timeout: float = 60.0,
        on_event: Listener | None = None,
    ) -> None:
        self._game = game
        self._store = store
        self._patience = patience
        self._tell = safely(on_event)
        self.waiting = 0
        self._judge = Judge(timeout)
        self._truth = History()
        """The rows that have arrived, corrections in the place of what they correct."""
        self.newest: datetime | None = None
        self._last_arrival = 0
        self._unknown: dict[tuple[str, str, datetime], Prediction] = {}
        """Those that are due, and whose outcome `resolve` did not know yet."""
        self._board = game.leaderboard()
        self._board_is_loaded = False
        self._counted_until: datetime | None = None
        """Up to when the board knows what was asked in vain."""
        self._shown: list[Standing] = []
        self._told: set[str] = set()
        prepare = getattr(game.scorer, "prepare", None)
        if callable(prepare):
            prepare()  # a missing library is reported now, not when the first horizon has passed

    def step(self, now: datetime | None = None) -> list[Score]:
        """Score what the rows resolve that have come since the last step, and return the new scores.

        `resolve` is called for a prediction when a row at or after `resolves_at` has been told, knowing the rows that
        had arrived by then; and again with each row that follows, until it knows the outcome. So it does not matter
        how many rows a step finds.

        Args:
            now: The time of the newest row to look at; all of them unless given.
        """
        self._load_board()
        known: list[tuple[Prediction, Any]] = []
        scores: list[Score] = []
        arrivals = [each for each in self._store.arrivals(self._last_arrival) if each[1].aside is None]
        # Read after the rows: what a row resolves has been stored before it.
        pending = self._store.pending(max(arrival.row.time for _, arrival in arrivals)) if arrivals else []
        pending = [each for each in pending if _identity(each) not in self._unknown]
        for number, arrival in arrivals:
            row = arrival.row
            if now is not None and row.time > now:
                break
            self._last_arrival = number
            self._truth.insert(row)
            if self.newest is not None and row.time <= self.newest:
                continue
            self.newest = row.time
            due = [each for each in pending if each.resolves_at <= row.time]
            if due:
                pending = [each for each in pending if each.resolves_at > row.time]
                for each in due:
                    if self._game.history is not None and self._truth.at(each.at) is None:
                        scores.append(_set_aside(each, None, _FORGOTTEN))
                    else:
                        self._unknown[_identity(each)] = each
            if self._unknown:
                self._resolve(row.time, known, scores)
            if self._game.history is not None:  # row by row: what `resolve` sees must not depend on the steps
                self._truth.forget(row.time - self._game.history)
        scores += [_score(*each, value) for each, value in zip(known, self._values(known), strict=True)]
        self.waiting = len(self._unknown)
        self._count_unanswered()
        if scores:
            # Settled before the leaderboard has them: after a kill in between, the board is loaded from the store.
            self._store.settle(scores)
            self._board.add(scores)
        return scores

    def retry(self, reason: str | None = None) -> list[Score]:
        """Score once more what was set aside, for instance after `resolve` was mended, and return the new scores.

        Each is resolved as it would have been: knowing the rows that had arrived when it was due.

        Args:
            reason: Only what was set aside for this reason.
        """
        self._store.reopen(reason)
        self._truth, self._unknown = History(), {}
        self.newest, self._last_arrival = None, 0
        return self.step()

    def _count_unanswered(self) -> None:
        """Tell the board what was asked in vain, and is due by now. Read after the rows, as `pending` is."""
        since = self._counted_until
        if self.newest is not None and (since is None or since < self.newest):
            self._board.add_unanswered(self._store.unanswered(since, self.newest))
            self._counted_until = self.newest

    def _resolve(self, now: datetime, known: list[tuple[Prediction, Any]], scores: list[Score]) -> None:
        """Ask for the outcomes that are not known yet, and sort them."""
        asked = list(self._unknown.values())
        outcomes = self._judge.each(lambda each: self._game.resolve(each, self._truth), asked, "resolve")
        for prediction, outcome in zip(asked, outcomes, strict=True):
            reason = outcome.reason if isinstance(outcome, Failed) else self._objection(outcome, prediction, now)
            if reason is None and outcome is None:
                continue
            del self._unknown[_identity(prediction)]
            if reason is None:
                known.append((prediction, outcome))
            else:
                scores.append(_set_aside(prediction, None, reason))

    def standings(self, now: datetime) -> list[Standing]:
        """Return the leaderboard at this time on the game's clock; unless it is past, note it in the store."""
        self._load_board()
        try:
            self._shown = self._board.standings(now, self._store.first_rounds())
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - `missing` is the author's
            self._hook_failed(now, error)
            return self._shown
        newest = self.newest  # of those that are scored: more may have come since
        if newest is None and (last := self._store.last_row()) is not None:
            newest = last.time
        if newest is None or now >= newest:
            board = [asdict(standing) for standing in self._shown]
            note = {"game": self._game.name, "at": now.isoformat(), "rank_by": self._game.rank_by, "leaderboard": board}
            self._store.note("leaderboard", note)
        return self._shown

    def _hook_failed(self, now: datetime, error: BaseException) -> None:
        if (kind := type(error).__name__) not in self._told:
            self._told.add(kind)
            self._tell(HookFailed("missing", now, describe_exception(error)))

    async def run(self, every: float = 1.0, on_scores: Callable[[list[Score]], Any] | None = None) -> None:
        """Score on a thread, and note the leaderboard, repeatedly until cancelled.

        Args:
            every: Seconds between two steps.
            on_scores: Called with the new scores.

        Raises:
            UsageError: Another worker scores on this store.
        """

        def step(assure: Callable[[], None]) -> list[Score]:
            assure()
            scores = self.step()
            if self.newest is not None:
                self.standings(self.newest)
            return scores

        async with leased(self._store, "score") as hold:
            while True:
                scores = await in_thread(step, hold.assure)
                if scores and on_scores is not None:
                    on_scores(scores)
                await anyio.sleep(every)

    def _load_board(self) -> None:
        """Load past scores, the first time."""
        if self._board_is_loaded:
            return
        newest = self._store.last_row()
        if newest is not None:
            self._counted_until = newest.time - timedelta(seconds=max(self._game.windows.values()))
            self._board.add(self._store.scores(self._counted_until))
        self._board_is_loaded = True

    def _objection(self, outcome: Any, prediction: Prediction, now: datetime) -> str | None:
        """Why a prediction with this outcome is set aside, or None if it is not."""
        if outcome is None:
            patience = max(7 * 86400.0, prediction.horizon) if self._patience is None else self._patience
            if (now - prediction.resolves_at).total_seconds() > patience:
                return f"resolve did not know the truth {patience:g} s after the horizon"
            return None
        try:
            encode(outcome)
        except ValueError as error:
            return f"resolve gave {brief(outcome)}, which cannot be stored: {error}"
        return None

    def _values(self, known: Sequence[tuple[Prediction, Any]]) -> Sequence[Any]:
        """What the scorer gives for each of them, or Failed."""
        scorer = self._game.scorer
        if known and isinstance(scorer, BatchScorer):
            predictions, outcomes = zip(*known, strict=True)
            [values] = self._judge.each(
                lambda both: list(scorer.score_many(*both)), [(list(predictions), list(outcomes))], "score_many"
            )
            if isinstance(values, Failed):
                logger.warning("%s; scoring one by one", values.reason)  # only the bad ones fail, then
            elif len(values) == len(known):
                return values  # type: ignore[no-any-return]
        return self._judge.each(lambda each: scorer.score(*each), known, "score")


def _identity(prediction: Prediction) -> tuple[str, str, datetime]:
    return prediction.model_id, prediction.key, prediction.at


def _score(prediction: Prediction, outcome: Any, value: Any) -> Score:
    if isinstance(value, Failed):
        return _set_aside(prediction, outcome, value.reason)
    if isinstance(value, Exception):
        return _set_aside(prediction, outcome, f"score raised {describe_exception(value)}")
    try:
        # float() would accept text, and a scorer that returns text is wrong.
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except Exception:  # noqa: BLE001 - the value is the author's: a tensor of two raises RuntimeError
        number = math.nan
    if not math.isfinite(number):
        return _set_aside(prediction, outcome, f"score gave {brief(value)}, which is no finite number")
    return Score(prediction.model_id, prediction.key, prediction.at, prediction.resolves_at, number, outcome)


def _set_aside(prediction: Prediction, outcome: Any, reason: str) -> Score:
    return Score(prediction.model_id, prediction.key, prediction.at, prediction.resolves_at, None, outcome, reason)
