"""Correcting: carries out what the corrections of a store say of rounds that were scored already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Final

from crunch_game.events import Corrected
from crunch_game.game import Game
from crunch_game.lineup import between_rounds
from crunch_game.storage import encode
from crunch_game.storage.base import Arrival, Correction, Prediction, Score, ScoredRound, Store
from crunch_game.workers.settling._backlog import Backlog
from crunch_game.workers.settling._boards import KeptBoards
from crunch_game.workers.settling._due import DueRound, Identity
from crunch_game.workers.settling._in_force import OF_ROUNDS, InForce
from crunch_game.workers.settling._judge import Judge
from crunch_game.workers.settling._settling import Settled, Settler

CORRECTED: Final = "corrected by score"
"""The note that says up to which correction all are carried out, as `{"number": 7}`.

While one is under way, it also has its number as "under_way" and, as "since", from when on rounds resolve that are not
done.
"""

_AT_ONCE: Final = 2_000
"""So many answers, in whole rounds, are corrected in one transaction."""
_BLINK: Final = timedelta(microseconds=1)
"""Of the times that a store keeps."""

_resolves_at = attrgetter("resolves_at")


class Correcting:
    """Carries out the corrections of a store, one after the other and each in steps.

    Every round that a correction is about is scored anew, as a whole: then its scores are those of a store in which it
    had been so from the start. A kill leaves a correction half done, and the next worker goes on with it.

    Args:
        game: The game.
        store: Where they are. One that keeps no corrections has none.
        judge: Calls the game's `resolve`.
        patience: As for a ScoreWorker.
        settler: Scores rounds.
        boards: Makes empty boards, which find the facts of rounds.

    Attributes:
        in_force: What all corrections that are known of say.
    """

    def __init__(
        self,
        game: Game,
        store: Store,
        judge: Judge,
        patience: float | None,
        settler: Settler,
        boards: Callable[[], KeptBoards],
    ) -> None:
        self._game = game
        self._store = store
        self._keeps: bool = getattr(store, "keeps_corrections", False)  # an author's own, for replays, may not say
        self._judge = judge
        self._patience = patience
        self._settler = settler
        self._boards = boards
        self._known: list[tuple[int, Correction]] = []
        self._noted: dict[str, object] | None = None
        self.in_force = InForce()

    def look(self) -> bool:
        """Read the corrections that are new. Returns whether some are not carried out."""
        if not self._keeps:
            return False
        if self._noted is None:
            self._noted = self._store.noted(CORRECTED) or {"number": 0}
        new = self._store.corrections(self._known[-1][0] if self._known else 0)
        if new:
            self._known += new
            self.in_force = InForce(each for _, each in self._known)
        return bool(self._known) and self._known[-1][0] > self.done

    @property
    def done(self) -> int:
        """The number of the last correction that is carried out; 0 if none is."""
        number = (self._noted or {}).get("number", 0)
        return number if isinstance(number, int) else 0

    @property
    def changes_scores(self) -> bool:
        """Whether one of those that are not carried out may change scores."""
        return any(each.verb in OF_ROUNDS for number, each in self._known if number > self.done)

    def carry_out(self) -> Iterator[Corrected]:
        """Carry out what is not; yield after each step what has come of the correction so far."""
        for place, (number, correction) in enumerate(self._known):
            if number <= self.done:
                continue
            if correction.verb in OF_ROUNDS:
                in_force = InForce(each for _, each in self._known[: place + 1])
                yield from self._carry_out(number, correction, in_force)
            self._note({"number": number})

    def _carry_out(self, number: int, correction: Correction, in_force: InForce) -> Iterator[Corrected]:
        told = Corrected(number, correction.verb, correction.by, correction.reason, 0)
        times = self._store.resolving(correction.since, correction.until)
        if times is None:
            yield told
            return
        first, last = times
        find = self._resolved_again if correction.verb == "resolve" else self._as_kept
        for found, before, since in between_rounds(find(correction, self._since(number) or first, last)):
            changes, rounds = self._changes([*self._settler.settle(found, in_force)], before, in_force)
            note = {"number": self.done, "under_way": number, "since": since.isoformat()}
            self._store.amend(number, changes, rounds, note=(CORRECTED, note))
            told = replace(told, scores=told.scores + len(changes))
            yield told

    def _since(self, number: int) -> datetime | None:
        """From when on rounds resolve that are not done of a correction that is under way."""
        noted = self._noted or {}
        since = noted.get("since")
        return datetime.fromisoformat(since) if noted.get("under_way") == number and isinstance(since, str) else None

    def _note(self, note: Mapping[str, object]) -> None:
        self._store.note(CORRECTED, note)
        self._noted = dict(note)

    def _as_kept(self, correction: Correction, since: datetime, until: datetime) -> Iterator[_Page]:
        """Yield the rounds with the outcomes that are kept of them."""
        start: datetime | None = since
        while start is not None:
            page, end = self._predictions(correction, start, until)
            before = self._before(page, start, until if end is None else end - _BLINK)
            yield [*_as_due(page, before)], before, until if end is None else end
            start = end

    def _resolved_again(self, correction: Correction, since: datetime, until: datetime) -> Iterator[_Page]:
        """Yield the rounds with what `resolve` says of them, told the rows in the order of their times."""
        source = _Again(self, correction, since, until)
        backlog = Backlog(self._game, source, self._judge, self._patience, lambda _: None)
        source.is_over = lambda: not backlog.due.size
        page: list[DueRound] = []
        for due in backlog.known():
            page.append(due)
            if sum(each.size for each in page) >= _AT_ONCE:
                yield page, self._before_of(page), since
                backlog.due.settled(page)
                page = []
        if page:
            yield page, self._before_of(page), since

    def _predictions(
        self, correction: Correction, since: datetime, until: datetime
    ) -> tuple[dict[Identity, list[Prediction]], datetime | None]:
        """Some predictions that a correction is about, by round; and from when on the others resolve."""
        found: dict[Identity, list[Prediction]] = {}
        count = 0
        for moment, some in groupby(self._store.stream("predictions", since, until + _BLINK), _resolves_at):
            for each in some:
                if correction.covers(each.key, each.at):
                    found.setdefault((each.at, each.key), []).append(each)
                    count += 1
            if count >= _AT_ONCE:
                return found, moment + _BLINK
        return found, None

    def _before_of(self, page: Sequence[DueRound]) -> _AsKept:
        times = [due.resolves_at for due in page]
        found = {due.identity: [*due.answers.values()] for due in page}
        return self._before(found, min(times), max(times))

    def _before(self, page: Mapping[Identity, Sequence[Prediction]], since: datetime, until: datetime) -> _AsKept:
        """What is kept of rounds."""
        scores: dict[Identity, dict[str, Score]] = {identity: {} for identity in page}
        for score in self._store.stream("scores", since, until + _BLINK):
            if (score.at, score.key) in scores:
                scores[score.at, score.key][score.model_id] = score
        rounds = self._store.stream("rounds", since, until + _BLINK)
        records = {(each.at, each.key): each for each in rounds if (each.at, each.key) in scores}
        nobodys = {
            identity: [each.model_id for each in found if each.excused]
            for identity, found in page.items()
            if not scores[identity] and identity in records
        }
        return _AsKept(scores, records, nobodys)

    def _changes(
        self, settled: Sequence[Settled], before: _AsKept, in_force: InForce
    ) -> tuple[list[tuple[Score | None, Score | None]], list[ScoredRound]]:
        """What changes of these rounds, and of those that nobody has answered."""
        changes: list[tuple[Score | None, Score | None]] = []
        boards = self._boards()
        for each in settled:
            old, new = before.scores[each.due.identity], {score.model_id: score for score in each.scores}
            names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
            changes += [(old.get(name), new.get(name)) for name in names]
            boards.add(each.record, each.scores, each.excused, each.absent)
        for identity, excused in before.nobodys.items():
            record = before.rounds[identity]
            boards.add(replace(record, void=in_force.why_void(record.key, record.at)), (), excused, {})
        rounds = (_with_facts(each, before.rounds.get((each.at, each.key))) for each in boards.unsaved())
        return changes, [each for each in rounds if each != before.rounds.get((each.at, each.key))]


class _AsKept:
    """What is kept of rounds.

    Attributes:
        scores: By round and model; none of a round that was not scored yet.
        rounds: Their records.
        nobodys: Of those that nobody has answered, the models that are excused.
    """

    def __init__(
        self,
        scores: Mapping[Identity, Mapping[str, Score]],
        rounds: Mapping[Identity, ScoredRound],
        nobodys: Mapping[Identity, Sequence[str]],
    ) -> None:
        self.scores = scores
        self.rounds = rounds
        self.nobodys = nobodys


_Page = tuple[Sequence[DueRound], _AsKept, datetime]
"""Some rounds, what is kept of them, and from when on those resolve that are not done."""


class _Again:
    """The rounds that are resolved again, as if nothing were known of them, and all rows by their times.

    What is older than the rows that are kept is left as it is: `resolve` would know less of it than before.

    Attributes:
        is_over: Whether no round waits.
    """

    def __init__(self, correcting: Correcting, correction: Correction, since: datetime, until: datetime) -> None:
        self._correcting = correcting
        self._correction = correction
        self._since = since
        self._until = until
        self._read: datetime | None = None
        self.is_over: Callable[[], bool] = lambda: False
        store, length = correcting._store, correcting._game.history
        start = correction.since or since
        self._rows = store.rows(None if length is None or correction.since is None else start - length)

    def arriving(self, after: int = 0) -> Iterator[tuple[int, Arrival]]:
        """Yield the rows, until all is known."""
        for number, row in enumerate(self._rows[after:], after + 1):
            if self._read is not None and self._read >= self._until and self.is_over():
                return
            yield number, Arrival(row)

    def due(self, after: datetime | None, until: datetime) -> Iterator[list[Prediction]]:
        """Yield the answers of each round that was scored."""
        correcting = self._correcting
        start: datetime | None = self._since if after is None else max(self._since, after + _BLINK)
        last = min(until, self._until)
        while start is not None and start <= last:
            page, end = correcting._predictions(self._correction, start, last)
            before = correcting._before(page, start, last if end is None else end - _BLINK)
            for identity, found in page.items():
                known = before.scores[identity]
                answers = [each for each in found if each.status == "ok" and each.model_id in known]
                if answers and self._rows and self._rows[0].time <= answers[0].at:
                    yield answers
            start = end
        self._read = until

    def pending_count(self, until: datetime) -> None:
        """Nothing is saved late here."""


def _as_due(page: Mapping[Identity, Sequence[Prediction]], before: _AsKept) -> Iterator[DueRound]:
    """The rounds that were scored, with the outcomes that are kept of them."""
    for identity, found in page.items():
        scores = before.scores[identity]
        due: DueRound | None = None
        for each in found:
            score = scores.get(each.model_id)
            if score is None or each.status != "ok":
                continue
            due = due or DueRound(each)
            if score.outcome is not None:
                due.know(each, score.outcome, encode(score.outcome))
            else:
                due.answers[each.model_id] = each
                due.aside[each.model_id] = score.reason or "it was set aside"
        if due is not None:
            yield due


def _with_facts(new: ScoredRound, before: ScoredRound | None) -> ScoredRound:
    """A round with the facts that are its own; what it is measured by, others say, and the boards if they look so far.

    Those of a void round are none.
    """
    if new.void is not None:
        return replace(new, facts={})
    facts = {}
    for metric, given in new.facts.items():
        known = {} if before is None else before.facts.get(metric, {})
        own = {name: value for name, value in given.items() if name in ("entry", "answers", "absent")}
        facts[metric] = {**given, **{name: known[name] for name in known if name != "absent"}, **own}
    return replace(new, facts=facts)
