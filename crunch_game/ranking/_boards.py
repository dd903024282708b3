"""Boards: all boards of a game, from the scores of rounds. Pure: rounds and the clock are passed in."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from crunch_game._public import public
from crunch_game.errors import GameError
from crunch_game.ranking._board import Board, Metric, RoundInfo
from crunch_game.ranking._counting import by_mean, by_skill
from crunch_game.ranking._kept import KeptRound, ModelNumbers, kept
from crunch_game.ranking._ranking import Ranking
from crunch_game.ranking._rounds import BoardNote, BoardRound, RoundFacts
from crunch_game.ranking._standing import Standing
from crunch_game.ranking._usual import Usual
from crunch_game.ranking._window import NOWHERE, Place

_Id: TypeAlias = tuple[str, datetime]


@public
class Boards:
    """All boards of a game: takes rounds in any order, again when one changes, and returns the standings at any moment.

    What it returns depends on the rounds, and on no order in which they came: sums are exact. A round costs time in its
    number of scores, and in the rounds whose skill is measured by it: at most 30, once ten rounds of its key are past
    and have three answers each. Rounds that have left every window are forgotten; `now` may go back, but not beyond
    these.

    Args:
        boards: The boards; their names differ.
        metrics: The rules' directions and units, by metric.
        benchmarks: The models that are ranked and never paid.

    Raises:
        GameError: Two boards have one name, or a board names a metric or a benchmark that there is not, or is by skill
            where the rule's scores have no unit.
    """

    def __init__(
        self, boards: Sequence[Board], metrics: Mapping[str, Metric], benchmarks: Collection[str] = ()
    ) -> None:
        check_boards(boards, metrics, benchmarks)
        self._metrics = dict(metrics)
        self._benchmarks = frozenset(benchmarks)
        self._models = ModelNumbers()
        self._rankings: list[Ranking] = []
        for board in boards:
            name = board.metric or next(iter(metrics))
            self._rankings.append(Ranking(board, name, self._metrics[name], self._models))
        self._rounds: dict[_Id, KeptRound] = {}
        self._order: list[Place] = []
        self._usual: dict[tuple[str, str], Usual] = {}
        """By metric and key."""
        self._unsettled: set[_Id] = set()
        """The rounds whose facts are to be found anew before anybody sees them."""
        self._uncounted: set[_Id] = set()
        """Of these, the new ones."""
        self._changed: set[_Id] = set()
        self._notes: dict[tuple[str, str, datetime], str] = {}
        self._told: list[BoardNote] = []

    # Rounds

    def put(self, played: BoardRound) -> None:
        """Add a round, or replace it whole: a new one, a late one, one with a revised truth.

        Raises:
            GameError: A board's `weight` gave no weight, or `missing` no score; a score is not finite. Whatever else
                `of`, `weight` and `missing` raise goes on to the caller. Then nothing has changed.
        """
        info = RoundInfo(played.key, played.at, played.horizon, played.arguments)
        weights = [ranking.board.weight_of(info) for ranking in self._rankings]
        new = kept(played, self._metrics, weights, self._models)
        counts = []
        for ranking, weight in zip(self._rankings, weights, strict=True):
            if weight is not None and ranking.board.by == "mean":
                counted = by_mean(ranking.board, ranking.metric, new, new.scores[ranking.name], weight)
                counts.append((ranking, counted))
        identity, place = (played.key, played.at), _place(new)
        self.void(*identity)
        self._rounds[identity] = new
        insort(self._order, place)
        for ranking, weight in zip(self._rankings, weights, strict=True):
            if weight is not None:
                ranking.put(new)
        for ranking, counted in counts:
            ranking.count(place, counted)
        for name, scores in new.scores.items():
            scores.facts = new.measured(name, None, self._metrics[name])
            touched = self._usual_of(name, new.key).put(new.moment, scores.facts.entry, scores.facts.answers)
            self._unsettled.update((new.key, at) for _, at in touched)
        self._unsettled.add(identity)
        self._uncounted.add(identity)
        self._changed.add(identity)

    def void(self, key: str, at: datetime) -> None:
        """Take a round away: from the boards, from the past of later rounds, from coverage and from Last."""
        gone = self._rounds.pop((key, at), None)
        for name in self._metrics:
            touched = self._usual_of(name, key).drop(at)
            self._unsettled.update((key, slot) for _, slot in touched)
        if gone is None:
            return
        del self._order[bisect_left(self._order, _place(gone))]
        for ranking, weight in zip(self._rankings, gone.weights, strict=True):
            if weight is not None:
                ranking.drop(gone)
                self._notes.pop((ranking.board.name, key, at), None)
        self._changed.discard((key, at))

    def recall(
        self, key: str, metric: str, at: datetime, resolves_at: datetime, entry: float | None, answers: int
    ) -> None:
        """Give back what a round older than every window says of what is usually lost, at a start: its facts.

        For each key and metric these are enough: all that resolve after the slot of its oldest round that is put, and
        before that the last 64 that have an entry, and the last 64 of these with three answers.
        """
        touched = self._usual_of(metric, key).recall((resolves_at, at), entry, answers)
        self._unsettled.update((key, at) for _, at in touched)

    def oldest(self, now: datetime) -> datetime | None:
        """At a start, rounds that resolve after this are to be put, and older ones recalled.

        None if a board has a window of Last: which rounds that reaches is known when they are put, the newest first.
        """
        lengths = [length for ranking in self._rankings for length in ranking.board.lengths().values()]
        durations = [length for length in lengths if isinstance(length, timedelta)]
        return now - max(durations) if durations and len(durations) == len(lengths) else None

    # What they tell

    def standings(
        self,
        now: datetime,
        *,
        first_answers: Mapping[str, Mapping[str, datetime]] | None = None,
        states: Mapping[str, str] | None = None,
    ) -> dict[str, list[Standing]]:
        """Return every board's standings, by rank, then by id; those without a rank come last.

        Args:
            now: The current time; aware.
            first_answers: The `at` of each model's first answer, ever, by model and key.
            states: The state of models, by id, as in `Model.state`; "stopped" and "left" are shown.
        """
        self._settle()
        found = {
            ranking.board.name: ranking.standings(now, first_answers or {}, self._benchmarks, states or {})
            for ranking in self._rankings
        }
        self._forget()
        return found

    def facts(self, key: str, at: datetime) -> dict[str, RoundFacts]:
        """What makes the skill of a round, by metric: what is stored beside its scores. Empty if there is no round."""
        self._settle()
        known = self._rounds.get((key, at))
        return {} if known is None else {name: scores.facts for name, scores in known.scores.items()}

    def changed(self) -> list[tuple[str, datetime]]:
        """The rounds `(key, at)` that were put, or whose facts differ, since this was asked last; in no order."""
        self._settle()
        changed, self._changed = self._changed, set()
        return list(changed)

    def told(self) -> list[BoardNote]:
        """What somebody should know of since this was asked last: a round that counts for nobody, and why."""
        self._settle()
        told, self._told = self._told, []
        return told

    def _usual_of(self, metric: str, key: str) -> Usual:
        return self._usual.setdefault((metric, key), Usual())

    def _settle(self) -> None:
        """Find the facts of rounds that have changed, or whose past has, and count them with these."""
        for identity in sorted(self._unsettled & self._rounds.keys()):
            known, new = self._rounds[identity], identity in self._uncounted
            for name, scores in known.scores.items():
                usual = self._usual_of(name, known.key).of(known.moment)
                facts = known.measured(name, usual, self._metrics[name])
                if new or facts != scores.facts:
                    scores.facts = facts
                    self._changed.add(identity)
                    self._count(known, name)
        self._unsettled.clear()
        self._uncounted.clear()

    def _count(self, known: KeptRound, name: str) -> None:
        for ranking, weight in zip(self._rankings, known.weights, strict=True):
            if weight is None or ranking.name != name or ranking.board.by == "mean":
                continue
            scores, board = known.scores[name], ranking.board
            reference = None if board.reference is None else self._models.known(board.reference)
            counted, note = by_skill(board, ranking.metric, known, scores, weight, reference)
            ranking.count(_place(known), counted)
            about = (board.name, known.key, known.at)
            if note is not None and self._notes.get(about) != note:
                self._told.append(BoardNote(*about, note))
            self._notes.pop(about, None)
            if note is not None:
                self._notes[about] = note

    def _forget(self) -> None:
        """Forget the rounds that no board needs, but for what later ones can read of them."""
        until = max((ranking.low for ranking in self._rankings), default=NOWHERE)
        gone: dict[str, list[KeptRound]] = {}
        for place in self._order:
            if place > until:
                break
            known = self._rounds[place[2], place[1]]
            on = [each for each, weight in zip(self._rankings, known.weights, strict=True) if weight is not None]
            if all(place <= ranking.low for ranking in on):
                gone.setdefault(known.key, []).append(known)
                for ranking in on:
                    ranking.forget(known)
                    self._notes.pop((ranking.board.name, known.key, known.at), None)
        if not gone:
            return
        for key, rounds in gone.items():
            for known in rounds:
                del self._rounds[key, known.at]
                self._changed.discard((key, known.at))
            for name in self._metrics:
                self._usual_of(name, key).forget([known.moment for known in rounds], rounds[-1].resolves_at)
        self._order = [place for place in self._order if (place[2], place[1]) in self._rounds]


def check_boards(boards: Sequence[Board], metrics: Mapping[str, Metric], benchmarks: Collection[str] = ()) -> None:
    """See that boards can be made from these metrics and benchmarks.

    Raises:
        GameError: Two have one name, or one names a metric or a benchmark that there is not, or is by skill where the
            rule's scores have no unit.
    """
    names = [board.name for board in boards]
    if twice := {name for name in names if names.count(name) > 1}:
        raise GameError(f"two boards are called {min(twice)!r}; give each a name of its own")
    for board in boards:
        known = ", ".join(metrics) or "none"
        if board.metric is None and len(metrics) != 1:
            raise GameError(f"board {board.name!r} must say which metric it counts; the metrics are {known}")
        metric = board.metric or next(iter(metrics))
        if metric not in metrics:
            raise GameError(f"board {board.name!r} counts {metric!r}, which is no metric; the metrics are {known}")
        if board.by == "skill" and metrics[metric].unit is None:
            raise GameError(
                f"board {board.name!r} is by skill, but the scores of its rule are normalised already, and have no "
                'unit; write by="mean"'
            )
        if board.reference is not None and board.reference not in benchmarks:
            there = ", ".join(sorted(benchmarks)) or "none"
            raise GameError(
                f"board {board.name!r} compares with {board.reference!r}, which is no benchmark; the benchmarks are "
                f"{there}"
            )


def _place(known: KeptRound) -> Place:
    return (known.resolves_at, known.at, known.key)
