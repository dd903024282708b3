"""Boards: all boards of a game, from the scores of rounds. Pure: rounds and the clock are passed in."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from crunch_game.errors import GameError
from crunch_game.ranking._board import Board, Metric, RoundInfo
from crunch_game.ranking._rounds import BoardNote, BoardRound, RoundFacts
from crunch_game.ranking._skill import MOST, absence, entry_of, padded, skills, skills_among
from crunch_game.ranking._standing import Standing

_Id = tuple[str, datetime]


class Boards:
    """All boards of a game: takes rounds in any order, again when one changes, and returns the standings at any moment.

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
        self._boards = {board.name: board for board in boards}
        if len(self._boards) < len(boards):
            raise GameError(f"two boards have one name: {', '.join(board.name for board in boards)}")
        self._metrics = dict(metrics)
        self._benchmarks = frozenset(benchmarks)
        self._metric_of = {board.name: self._metric(board) for board in boards}
        self._rounds: dict[_Id, BoardRound] = {}
        self._weights: dict[_Id, dict[str, float | None]] = {}
        self._told: list[BoardNote] = []

    def _metric(self, board: Board) -> str:
        name = board.metric
        if name is None:
            if len(self._metrics) != 1:
                raise GameError(
                    f"board {board.name!r}: say which metric it counts: {', '.join(self._metrics) or 'none'}"
                )
            [name] = self._metrics
        if name not in self._metrics:
            raise GameError(
                f"board {board.name!r}: {name!r} is no metric; there is {', '.join(self._metrics) or 'none'}"
            )
        if board.by == "skill" and self._metrics[name].unit is None:
            raise GameError(f"board {board.name!r}: {_NO_UNIT}")
        if board.reference is not None and board.reference not in self._benchmarks:
            known = ", ".join(sorted(self._benchmarks)) or "none"
            raise GameError(f"board {board.name!r}: {board.reference!r} is no benchmark; the benchmarks are {known}")
        return name

    def put(self, played: BoardRound) -> None:
        """Add a round, or replace it whole: a new one, a late one, one with a revised truth.

        Raises:
            GameError: A board's `weight` gave no weight, or `missing` no score. Then nothing has changed.
        """
        info = RoundInfo(played.key, played.at, played.horizon, played.arguments)
        weights = {name: board.weight_of(info) for name, board in self._boards.items()}
        self._rounds[played.key, played.at] = played
        self._weights[played.key, played.at] = weights

    def void(self, key: str, at: datetime) -> None:
        """Take a round away: from the boards, from the past of later rounds, from coverage and from Last."""
        self._rounds.pop((key, at), None)
        self._weights.pop((key, at), None)

    def recall(
        self, key: str, metric: str, at: datetime, resolves_at: datetime, entry: float | None, answers: int
    ) -> None:
        """Give back what a round older than every window says of what is usually lost, at a start."""

    def oldest(self, now: datetime) -> datetime | None:
        """Rounds that resolve after this are to be put at a start, older ones recalled; None: all are to be put."""
        return None

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
        return {
            name: self._standings(board, now, first_answers or {}, states or {}) for name, board in self._boards.items()
        }

    def facts(self, key: str, at: datetime) -> dict[str, RoundFacts]:
        """What makes the skill of a round, by metric: what is stored beside its scores. Empty if there is no round."""
        played = self._rounds.get((key, at))
        return {} if played is None else {metric: self._facts(played, metric) for metric in self._metrics}

    def changed(self) -> list[tuple[str, datetime]]:
        """The rounds `(key, at)` whose facts are new, or differ, since this was asked last."""
        return list(self._rounds)

    def told(self) -> list[BoardNote]:
        """What somebody should know of since this was asked last: a round that counts for nobody, and why."""
        told, self._told = self._told, []
        return told

    def _losses(self, played: BoardRound, metric: str) -> dict[str, float]:
        sign = -1.0 if self._metrics[metric].higher_is_better else 1.0
        losses = dict.fromkeys(played.unscorable.get(metric, ()), math.inf)
        return {**losses, **{name: sign * score for name, score in played.scores.get(metric, {}).items()}}

    def _usual(self, played: BoardRound, metric: str) -> float | None:
        past: list[tuple[datetime, datetime, float, int]] = []
        for each in self._rounds.values():
            ordered = sorted(self._losses(each, metric).values())
            entry = entry_of(ordered)
            if each.key == played.key and entry is not None and each.aside is None:
                past.append((each.resolves_at, each.at, entry, len(ordered)))
        past.sort()
        before = [each for each in past if each[0] <= played.at]
        if len(before) >= 10:
            full = [each for each in before if each[3] >= 3]
            read = (full if len(full) >= 10 else before)[-30:]
        else:
            read = [each for each in past if each[:2] <= (played.resolves_at, played.at)][:10]
        return float(sum(Fraction(each[2]) for each in read) / len(read)) if read else None

    def _facts(self, played: BoardRound, metric: str) -> RoundFacts:
        ordered = sorted(self._losses(played, metric).values())
        entry, usual, unit = entry_of(ordered), self._usual(played, metric), self._metrics[metric].unit
        if usual is None:
            return RoundFacts(entry, len(ordered), None, None, None, None)
        reference = padded(ordered, usual)
        size = abs(usual) if unit == "usual" else float(unit or 1.0)
        if size == 0:
            return RoundFacts(entry, len(ordered), usual, None, reference, None)
        return RoundFacts(entry, len(ordered), usual, size, reference, absence(reference, size, usual=unit == "usual"))

    def _counted(self, board: Board, played: BoardRound) -> tuple[dict[str, float], float] | None:
        """What each model's answer counts on a board, and what an absence does; None if the round counts for nobody."""
        metric = self._metric_of[board.name]
        scores = played.scores.get(metric, {})
        unscorable = played.unscorable.get(metric, frozenset())
        if board.by == "mean":
            if not scores and metric not in played.absent:
                return None
            higher = self._metrics[metric].higher_is_better
            missing = played.absent.get(metric)
            if missing is None:
                missing = board.missing_score(sorted(scores.values()), higher_is_better=higher)
            worst = (min if higher else max)([*scores.values(), missing])
            return {**dict.fromkeys(unscorable, worst), **scores}, missing
        facts = self._facts(played, metric)
        if facts.usual is None or facts.unit is None or facts.reference is None or facts.absence is None:
            return None
        losses = self._losses(played, metric)
        finite = {name: losses[name] for name in scores}
        benchmark = losses.get(board.reference or "", math.inf)
        if math.isfinite(benchmark):
            values = skills(list(finite.values()), benchmark, facts.unit)
            missing = absence(benchmark, facts.unit, usual=self._metrics[metric].unit == "usual")
        else:
            values = skills_among(list(finite.values()), sorted(losses.values()), facts.usual, facts.unit)
            missing = facts.absence
        return {**dict.fromkeys(unscorable, -MOST), **dict(zip(finite, values, strict=True))}, missing

    def _on(self, board: Board) -> Iterator[BoardRound]:
        for identity, played in self._rounds.items():
            if played.aside is None and self._weights[identity][board.name] is not None:
                yield played

    def _standings(
        self,
        board: Board,
        now: datetime,
        first_answers: Mapping[str, Mapping[str, datetime]],
        states: Mapping[str, str],
    ) -> list[Standing]:
        metric = self._metric_of[board.name]
        counted = {(each.key, each.at): found for each in self._on(board) if (found := self._counted(board, each))}
        on = sorted(
            (each for each in self._on(board) if (each.key, each.at) in counted and each.resolves_at <= now),
            key=lambda each: (each.resolves_at, each.at, each.key),
        )
        keys = {each.key for each in self._on(board)}
        names = {name for values, _ in counted.values() for name in values}
        results: dict[str, dict[str, _Result]] = {name: {} for name in board.lengths()}
        for name in names:
            firsts = [each.at for each in self._on(board) if name in self._losses(each, metric)] + [
                at for key, at in first_answers.get(name, {}).items() if key in keys
            ]
            first = min(firsts)
            for window, length in board.lengths().items():
                mine = [
                    each
                    for each in on
                    if (board.newcomers == "absent" or each.at >= first)
                    and (name not in each.excused or name in counted[each.key, each.at][0])
                ]
                if isinstance(length, timedelta):
                    inside = [each for each in on if now - length < each.resolves_at]
                    mine, of = [each for each in mine if each in inside], len(inside)
                else:
                    mine, of = mine[-length.n :], length.n
                result = self._result(board, name, mine, counted, of)
                if result is not None:
                    results[window][name] = result
        return _placed(board, results, self._metrics[metric].higher_is_better, self._benchmarks, states)

    def _result(
        self,
        board: Board,
        name: str,
        mine: Sequence[BoardRound],
        counted: Mapping[_Id, tuple[dict[str, float], float]],
        of: int,
    ) -> _Result | None:
        metric = self._metric_of[board.name]
        own, every, own_weight, weight, scored = Fraction(0), Fraction(0), Fraction(0), Fraction(0), 0
        raw: dict[str, list[float]] = {}
        for each in mine:
            values, missing = counted[each.key, each.at]
            share = Fraction(self._weights[each.key, each.at][board.name] or 0)
            given = each.absences.get(metric, {}).get(name, missing) if board.by == "mean" else missing
            every += share * Fraction(values.get(name, given))
            weight += share
            if name in values:
                own, own_weight, scored = own + share * Fraction(values[name]), own_weight + share, scored + 1
                if name in each.scores.get(metric, {}):
                    raw.setdefault(each.key, []).append(each.scores[metric][name])
        if not scored:
            return None
        score = every / weight if board.by == "mean" else min(own / own_weight, every / weight)
        return _Result(
            score, len(mine), scored, of, {key: [Fraction(v) for v in values] for key, values in raw.items()}
        )


class _Result:
    def __init__(
        self, score: Fraction, rounds: int, scored: int, of: int, raw: Mapping[str, Sequence[Fraction]]
    ) -> None:
        self.score, self.rounds, self.scored, self.of = score, rounds, scored, of
        self.keys = {key: float(sum(values) / len(values)) for key, values in raw.items()}
        every = [value for values in raw.values() for value in values]
        self.raw = float(sum(every) / len(every)) if every else None


def _placed(
    board: Board,
    results: Mapping[str, Mapping[str, _Result]],
    higher_is_better: bool,
    benchmarks: Collection[str],
    states: Mapping[str, str],
) -> list[Standing]:
    ranking = results[str(board.rank_by)]
    by_skill = board.by == "skill"
    sign = -1 if by_skill or higher_is_better else 1
    enough = {name for name, own in ranking.items() if board.suffices(own.scored, own.of)}
    order = sorted(ranking, key=lambda name: (name not in enough, sign * ranking[name].score, name))
    ranks: dict[Fraction, int] = {}
    standings = []
    for place, name in enumerate(order, start=1):
        own = ranking[name]
        found = {window: each.get(name) for window, each in results.items()}
        rank = ranks.setdefault(own.score, place) if name in enough else None
        values = {window: None if each is None else float(each.score) for window, each in found.items()}
        marks = ("provisional",) * (rank is None) + ("benchmark",) * (name in benchmarks)
        standings.append(
            Standing(
                rank,
                name,
                {window: None if each is None else each.raw for window, each in found.items()} if by_skill else values,
                own.scored / own.rounds,
                own.rounds,
                own.scored,
                float(own.score) if by_skill else None,
                values if by_skill else {},
                own.keys,
                marks + ((states[name],) if states.get(name) in ("stopped", "left") else ()),
                rank is not None and 2 * own.scored >= own.of and name not in benchmarks,
                board.name,
            )
        )
    return standings


_NO_UNIT = 'the scores of its rule are normalised already, and have no unit; write by="mean"'
