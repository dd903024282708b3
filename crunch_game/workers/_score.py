"""ScoreWorker: scores the predictions whose horizon has passed, and updates the leaderboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import anyio
from anyio.to_thread import run_sync as in_thread

from crunch_game._public import public
from crunch_game.errors import StoreUnavailable
from crunch_game.events import Corrected, HookFailed
from crunch_game.faults import describe_exception
from crunch_game.game import Game
from crunch_game.lineup import between_rounds
from crunch_game.ranking import Standing
from crunch_game.storage import encode
from crunch_game.storage.base import Prediction, Score, ScoredRound, Store
from crunch_game.workers._base import Absence, Listener, safely
from crunch_game.workers._eventlog import EventLog
from crunch_game.workers._lease import leased
from crunch_game.workers._past import board_documents
from crunch_game.workers._pruning import note_needs
from crunch_game.workers.settling import (
    LEADERBOARD,
    Backlog,
    Correcting,
    DueRound,
    ExecutorLike,
    Judge,
    KeptBoards,
    Publishing,
    Rules,
    Settler,
)

_AT_ONCE: Final = 2_000
"""So many answers, in whole rounds, are scored together and kept in one transaction."""
_BLINK: Final = timedelta(microseconds=1)
"""Of the times that a store keeps."""
_OF_ANSWERS: Final = (None, "unscorable", "void", "retracted")
"""The kinds of scores whose answers a rule is given once more where others of the round are scored later."""


@public
class ScoreWorker:
    """Scores the predictions whose horizon has passed, and updates the leaderboard. Needs no models.

    Its methods compute, and wait for the store. Do not call them on the event loop that calls models.

    Args:
        game: The game.
        store: Where a PredictWorker, in this process or another, keeps predictions and rows.
        patience: If `resolve` does not know an outcome this many seconds after the horizon, the prediction is set
            aside. Only time in which rows came counts. By default a week, or the horizon if that is longer.
        timeout: Seconds that one call of `resolve` or of the rule may take, before what it was called for is set aside.
        executor: Where the rules are called: an Executor, "processes", "threads:4", "dask://HOST:8786", or "auto",
            which is processes for a rule that is slow; by default on this thread. Processes import the game's modules,
            so that a script which calls this must have its `if __name__ == "__main__":`.
        on_event: Called with HookFailed, with Corrected, and with each kind of BoardNote once.

    Attributes:
        log: What it tells, and keeps with its next step.

    Raises:
        MissingExtra: The game's scorer, or the executor, needs a library that is not installed.
        UsageError: There is no such executor.
    """

    def __init__(
        self,
        game: Game,
        store: Store,
        *,
        patience: float | None = None,
        timeout: float = 60.0,
        executor: ExecutorLike = None,
        on_event: Listener | None = None,
    ) -> None:
        self._game = game
        self._store = store
        clock = partial(datetime.now, UTC)
        self.log = EventLog(store, clock, lambda: self.newest)
        self._publishing = Publishing(store, game.publish, clock)
        self._tell = self.log.before(safely(on_event))
        self._judge = Judge(timeout)
        self._rules = Rules(self._judge, timeout, executor)
        self._patience = patience
        self._told: set[str] = set()
        self.start_anew()
        self._shown: dict[str, list[Standing]] = {board.name: [] for board in game.boards}
        self._retries = False
        self._needs_noted = False
        for rule in game.rules.values():
            prepare = getattr(rule, "prepare", None)
            if callable(prepare):
                prepare()  # a missing library is reported now, not when the first horizon has passed

    @property
    def newest(self) -> datetime | None:
        """The time of the newest row that was looked at."""
        return self._backlog.newest

    @property
    def waiting(self) -> int:
        """How many predictions are past their horizon and were not scored by the last step."""
        return self._backlog.due.waiting

    def start_anew(self) -> None:
        """Know nothing but what is stored, as a new worker does: for when the store went away in mid-step."""
        game, store, judge, patience = self._game, self._store, self._judge, self._patience
        self._settler = Settler(game, store.unanswered, self._rules)
        self._correcting = Correcting(game, store, judge, patience, self._settler, self._empty_boards)
        self._is_correcting = False
        self._boards = self._empty_boards()
        self._backlog = Backlog(game, store, judge, patience, lambda answers: self._boards.answered(answers))
        self._counted_until: datetime | None = None
        """Up to when the boards know of rounds that nobody has answered."""

    def step(self, now: datetime | None = None) -> list[Score]:
        """Score what the rows resolve that have come since the last step, and return the new scores.

        `resolve` is called for a prediction when a row at or after `resolves_at` has been told, knowing the rows that
        had arrived by then; and again with each row that follows, until it knows the outcome. So it does not matter
        how many rows a step finds.

        Args:
            now: The time of the newest row to look at; all of them unless given.
        """
        return [score for scores in self.steps(now) for score in scores]

    def steps(self, now: datetime | None = None) -> Iterator[list[Score]]:
        """Do what `step` does bit by bit: yield the scores of some thousand answers, as soon as they are kept.

        Few of millions that are due are in memory at once, and no transaction is long. Whoever stops asking, or is
        killed, has kept what was yielded; the next step goes on from there.

        Args:
            now: The time of the newest row to look at; all of them unless given.
        """
        if not self._needs_noted:
            note_needs(self._store, self._game, "score")
            self._needs_noted = True
        if self.newest is None:
            self._backlog.pass_over(self._store)
        has_corrections = self._correcting.look()
        self._is_correcting = has_corrections and self._correcting.changes_scores
        if not self._boards.is_loaded:
            self._load_boards()
            self._save_rounds()
        known: list[DueRound] = []
        answers = 0
        for due in between_rounds(self._backlog.known(now)):
            known.append(due)
            answers += due.size
            if answers >= _AT_ONCE:
                scores = self._settle(known)
                # All that resolve before the last of these were read.
                self._count_unanswered(max(due.resolves_at for due in known) - _BLINK)
                known, answers = [], 0
                yield scores
        scores = self._settle(known)
        if self.newest is not None:
            self._count_unanswered(self.newest)
        if has_corrections:  # what is scored only now was resolved by the rows of its time
            yield scores
            scores = []
            yield from self._correct()
        self.save_log()
        yield scores

    def _correct(self) -> Iterator[list[Score]]:
        """Carry out the corrections that are new. Boards are shown as they were until all of that is done."""
        if self._is_correcting:
            self._publishing.now(self._correcting.done)
        done: dict[int, Corrected] = {}
        for told in self._correcting.carry_out():
            done[told.number] = told
            yield []
        if not self._is_correcting:  # but of models, or of what is deleted: the boards stay as they are
            return
        self._boards = self._empty_boards()
        self._load_boards()
        self._save_rounds()
        had_effect, self._is_correcting = self._is_correcting, False
        if had_effect and self.newest is not None:
            self.all_standings(self.newest)
            self._publishing.now(self._correcting.done)
        for each in done.values():
            self._tell(each)

    def _load_boards(self) -> None:
        if not self._boards.is_loaded:
            self._correcting.look()
            self._boards.load()

    def _save_rounds(self) -> None:
        """Store the rounds whose facts are others now: a worker that was killed may have been about to."""
        if unsaved := self._boards.unsaved():
            self._store.settle((), unsaved)
            self._boards.saved()

    def _empty_boards(self) -> KeptBoards:
        correcting = self._correcting
        return KeptBoards(self._game, self._store, self._board_failed, self._tell, lambda: correcting.in_force)

    def close(self) -> None:
        """End the processes or threads of an executor that was named. The store stays open."""
        self._rules.close()

    def save_log(self) -> None:
        """Keep what was told since the last step."""
        if log := self.log.take():
            try:
                self._store.save(log=log)
            except BaseException:
                self.log.give_back(log)
                raise

    def _count_unanswered(self, until: datetime) -> None:
        """Tell the boards of rounds in which nobody has answered, and that are due: they count for the coverage.

        Read after the rows, as `pending` is.
        """
        if self._counted_until is None:
            last = self._store.last_row()
            self._counted_until = self._boards.oldest(until if last is None else max(until, last.time))
        if self._counted_until is not None and self._counted_until >= until:
            return
        empty: dict[tuple[str, datetime], list[Prediction]] = {}
        for each in self._store.unanswered(self._counted_until, until):
            if not self._boards.has(each.key, each.at) and not self._backlog.due.has(each.key, each.at):
                empty.setdefault((each.key, each.at), []).append(each)
        for (key, at), absent in empty.items():
            first, void = absent[0], self._correcting.in_force.why_void(key, at)
            record = ScoredRound(key, at, first.resolves_at, first.horizon, first.arguments, void=void)
            self._boards.add(record, (), [each.model_id for each in absent if each.excused], {})
        if empty:
            self._save_rounds()
        self._counted_until = until

    def _settle(self, known: Sequence[DueRound]) -> list[Score]:
        """Score these rounds, each as a whole; keep the scores, and add them to the boards."""
        if not known:
            return []
        before = self._scored_before(known)
        scores = []
        for each in between_rounds(self._settler.settle(known, self._correcting.in_force)):
            kept = before.get(each.due.identity, {})
            new = [score for score in each.scores if score.model_id not in kept]
            scores += new
            self._boards.add(each.record, [*kept.values(), *new], each.excused, each.absent)
        # A board is loaded from the store after a kill before this.
        self._store.settle(scores, self._boards.unsaved())
        self._boards.saved()
        self._backlog.due.settled(known)
        return scores

    def _scored_before(self, known: Sequence[DueRound]) -> dict[tuple[datetime, str], dict[str, Score]]:
        """The scores that these rounds have already, where more predictions were saved later, or are tried again.

        What they answered, and what came of it, is added to the rounds: a rule is given whole ones.
        """
        may_have = self._boards.may_have
        again = {(due.at, due.key): due for due in known if self._retries or may_have(due.key, due.at, due.resolves_at)}
        before: dict[tuple[datetime, str], dict[str, Score]] = {}
        if not again:
            return before
        times = [due.resolves_at for due in again.values()]
        for score in self._store.stream("scores", min(times), max(times) + _BLINK):
            if (score.at, score.key) in again:
                before.setdefault((score.at, score.key), {})[score.model_id] = score
        if not before:
            return before
        times = [again[identity].resolves_at for identity in before]
        for each in self._store.stream("predictions", min(times), max(times) + _BLINK):
            score_before = before.get((each.at, each.key), {}).get(each.model_id)
            if score_before is not None and score_before.kind in _OF_ANSWERS and score_before.outcome is not None:
                again[each.at, each.key].know(each, score_before.outcome, encode(score_before.outcome))
        return before

    def retry(self, reason: str | None = None) -> list[Score]:
        """Score once more what was set aside, for instance after `resolve` was mended, and return the new scores.

        Each is resolved as it would have been: knowing the rows that had arrived when it was due.

        Args:
            reason: Only what was set aside for this reason.
        """
        self._store.reopen(reason)
        self._backlog.begin_again()
        self._retries = True
        try:
            return self.step()
        finally:
            self._retries = False

    def standings(self, now: datetime) -> list[Standing]:
        """Return the first board's standings; see `all_standings`."""
        return next(iter(self.all_standings(now).values()))

    def all_standings(self, now: datetime) -> Mapping[str, list[Standing]]:
        """Return each board's standings at this time on the game's clock; unless it is past, note them in the store."""
        if self._is_correcting:
            return self._shown
        self._load_boards()
        self._shown = self._boards.standings(now)
        newest = self.newest  # of those that are scored: more may have come since
        if newest is None and (last := self._store.last_row()) is not None:
            newest = last.time
        if newest is None or now >= newest:
            self._note(now)
        return self._shown

    def _note(self, now: datetime) -> None:
        boards = board_documents(self._game, self._shown)
        first = boards[self._game.boards[0].name]
        note = {"game": self._game.name, "at": now.isoformat(), **first, "boards": boards}
        self._store.note(LEADERBOARD, note)
        self._publishing.noted(self._correcting.done)

    def _board_failed(self, at: datetime, error: BaseException) -> None:
        if (kind := type(error).__name__) not in self._told:
            self._told.add(kind)
            self._tell(HookFailed("a board", at, describe_exception(error)))

    async def run(self, every: float = 1.0, on_scores: Callable[[list[Score]], Any] | None = None) -> None:
        """Score on a thread, and note the leaderboard, repeatedly until cancelled. A store that is away is waited for.

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

        absence = Absence(self._tell)
        async with leased(self._store, "score") as hold:
            while True:
                try:
                    scores = await in_thread(step, hold.assure)
                except StoreUnavailable as error:
                    self.start_anew()
                    await anyio.sleep(absence.noted(error))
                    continue
                absence.over()
                if scores and on_scores is not None:
                    on_scores(scores)
                await anyio.sleep(every)
