"""Backlog: the rows that were not looked at yet, one by one, and the rounds that each of them resolves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Final, Protocol

from crunch_game.feeds import History
from crunch_game.feeds.base import Row
from crunch_game.game import Game
from crunch_game.lineup import between_rounds
from crunch_game.storage.base import Arrival, Prediction, Store
from crunch_game.workers.settling._due import DueRound, DueRounds
from crunch_game.workers.settling._judge import Judge

_ROWS: Final = 1_000
"""So many rows are looked at before the store is asked once more for the predictions that they resolve."""
_ANSWERS: Final = 1_000
"""So many answers, in whole rounds, are resolved at once."""
_BLINK: Final = timedelta(microseconds=1)
"""Of the times that a store keeps."""
_FORGOTTEN = "the rows of its time are no longer kept (the game's history)"


class Source(Protocol):
    """Where a backlog's rows and predictions are: a store, or what is resolved again of one."""

    def arriving(self, after: int = 0) -> Iterator[tuple[int, Arrival]]:
        """Yield the rows with larger numbers, in the order of their arrival."""
        ...

    def due(self, after: datetime | None, until: datetime) -> Iterator[list[Prediction]]:
        """Yield the predictions to be resolved of each round that resolves after `after` and at or before `until`."""
        ...

    def pending_count(self, until: datetime) -> int | None:
        """Return how many of these resolve at or before `until`; None if none are saved late."""
        ...


class Backlog:
    """What is still to be resolved in a store, be it the last round or all that came in a week. Little is in memory.

    Args:
        game: The game.
        source: Where its rows and predictions are.
        judge: Calls the game's `resolve`.
        patience: As for DueRounds.
        answered: Called with answers that are due, whatever comes of them.

    Attributes:
        due: The rounds that wait.
        newest: The time of the newest row that was looked at.
    """

    def __init__(
        self,
        game: Game,
        source: Source,
        judge: Judge,
        patience: float | None,
        answered: Callable[[Sequence[Prediction]], object],
    ) -> None:
        self._game = game
        self._source = source
        self._answered = answered
        self.due = DueRounds(judge, patience, per_round=bool(getattr(game.resolve, "per_round", False)))
        self.newest: datetime | None = None
        self._truth = History()
        """The rows that have arrived, corrections in the place of what they correct."""
        self._last_arrival = 0
        self._passed_over: datetime | None = None
        """Rows that only what resolves before this is resolved with were passed over; None if none were."""
        self._looked_at: datetime | None = None
        """The newest row of which all has been done."""
        self._read_until: datetime | None = None
        """Of the predictions that resolve until then all were read that had been saved; None if that is not known."""
        self._uncounted = 0
        """How many of these the store counts as pending, and does not give."""

    def begin_again(self) -> None:
        """Begin with the first row once more."""
        self.due.forget()
        self._truth = History()
        self.newest = self._looked_at = self._read_until = self._passed_over = None
        self._last_arrival = 0

    def pass_over(self, store: Store) -> None:
        """Begin with the first row that something pending, or to come, is resolved with. To be called at the start.

        Args:
            store: The source.
        """
        history, last = self._game.history, store.last_row()
        if history is None or last is None or self._last_arrival:
            return
        first = next(iter(store.due(None, last.time)), None)
        moment = last.time if first is None else first[0].resolves_at
        found = store.looked_up_from(moment, history)
        if found is not None:
            self._last_arrival, self._passed_over = found[0] - 1, moment

    def known(self, now: datetime | None = None) -> Iterator[DueRound]:
        """Yield the rounds of which all is known, as the rows resolve them.

        `resolve` is called for a prediction when a row at or after `resolves_at` has been told, knowing the rows that
        had arrived by then; and again with each row that follows, until it knows the outcome.

        Whoever stops asking before the end, or does not settle a round, is given the same again the next time.

        Args:
            now: The time of the newest row to look at; all of them unless given.
        """
        self.due.give_back()
        yield from self.due.complete()
        arriving = self._source.arriving(self._last_arrival)
        while page := list(islice(arriving, _ROWS)):
            numbered = [(number, arrival.row) for number, arrival in page if arrival.aside is None]
            late = next((n for n, (_, row) in enumerate(numbered) if now is not None and row.time > now), None)
            yield from self._look_at(numbered[:late])
            if not self._last_arrival and numbered[:late]:  # something was saved meanwhile that needs all rows
                yield from self.known(now)
                return
            if late is not None:
                return
            self._last_arrival = page[-1][0]

    def _look_at(self, numbered: Sequence[tuple[int, Row]]) -> Iterator[DueRound]:
        # Read after the rows: what a row resolves has been stored before it.
        pending = self._pending_until(max((row.time for _, row in numbered), default=None))
        if self._passed_over is not None and pending is not None:
            if pending.is_before(self._passed_over):
                self.begin_again()
                return
            self._passed_over = None
        for number, row in numbered:
            self._truth.insert(row)
            if pending is not None and (self._looked_at is None or row.time > self._looked_at):
                self.newest = row.time
                yield from self._resolved_by(row, pending)
                if self._game.history is not None:  # row by row: what `resolve` sees must not depend on the steps
                    self._truth.forget(row.time - self._game.history)
                self._looked_at = row.time
            elif self._game.history is not None and self._looked_at is not None:  # nor on rows that come too late
                self._truth.forget(self._looked_at - self._game.history)
            self._last_arrival = number
        if pending is not None:
            self._read_until = self._looked_at
            if pending.count is not None:
                self._uncounted = pending.count - pending.read

    def _pending_until(self, until: datetime | None) -> _Pending | None:
        """What is pending and was not read yet; None if no row is newer than those that were looked at."""
        if until is None or (self._looked_at is not None and until <= self._looked_at):
            return None
        after, self._read_until = self._read_until, None  # until all of this is done
        if after is not None and self._source.pending_count(after) in (None, self.due.size + self._uncounted):
            return _Pending(between_rounds(self._source.due(after, until)))
        # The first time, or some were saved late: all are read, and those that are known of are passed over.
        count = self._source.pending_count(until)
        return _Pending(between_rounds(self._source.due(None, until)), count)

    def _resolved_by(self, row: Row, pending: _Pending) -> Iterator[DueRound]:
        yield from self.due.ask_again(self._resolve, row.time, self._pending_at)
        rounds: list[DueRound] = []
        for answers in pending.until(row.time):
            forgotten = self._game.history is not None and self._truth.at(answers[0].at) is None
            due = self.due.add(answers, _FORGOTTEN if forgotten else None)
            if due is None:
                continue
            self._answered(answers)
            rounds.append(due)
            if sum(each.size for each in rounds) >= _ANSWERS:
                yield from self.due.ask(rounds, self._resolve, row.time)
                rounds = []
        yield from self.due.ask(rounds, self._resolve, row.time)

    def _resolve(self, prediction: Prediction) -> object:
        return self._game.resolve(prediction, self._truth)

    def _pending_at(self, moment: datetime) -> Iterator[list[Prediction]]:
        return self._source.due(moment - _BLINK, moment)


class _Pending:
    """Rounds in the order in which they resolve, taken as the rows come.

    Attributes:
        count: How many predictions the store has counted before they were read; None if some were read before.
        read: How many were taken.
    """

    def __init__(self, rounds: Iterator[list[Prediction]], count: int | None = None) -> None:
        self.count = count
        self.read = 0
        self._rounds = rounds
        self._next: list[Prediction] | None = next(rounds, None)

    def is_before(self, moment: datetime) -> bool:
        """Whether one of them resolves before a moment."""
        return self._next is not None and self._next[0].resolves_at < moment

    def until(self, time: datetime) -> Iterator[list[Prediction]]:
        """Yield those that resolve at or before this."""
        while self._next is not None and self._next[0].resolves_at <= time:
            found, self._next = self._next, next(self._rounds, None)
            self.read += len(found)
            yield found
