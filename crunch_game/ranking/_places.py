"""Places: from exact results to standings. Equal results share a rank, whatever floats would make of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby

from crunch_game.ranking._board import Board
from crunch_game.ranking._standing import Standing
from crunch_game.ranking._window import Result


def placed(
    board: Board,
    names: Sequence[str],
    results: Mapping[str, Mapping[int, Result]],
    keys: Mapping[int, Mapping[str, float]],
    of: int,
    benchmarks: Collection[str],
    states: Mapping[str, str],
    *,
    high_is_better: bool,
) -> list[Standing]:
    """The standings of a board, by rank, then by id; those without a rank come last.

    Args:
        board: The board.
        names: The models' ids, by number.
        results: By window and model.
        keys: By model, the mean of its raw scores for each key.
        of: How many rounds are in the window that determines the ranks.
        benchmarks: ModelNumbers that are not paid.
        states: By model id.
        high_is_better: Whether the highest score is the first.
    """
    ranking, needed, by_skill = results[board.rank_by or ""], board.needed(of), board.by == "skill"
    standings: list[Standing] = []

    def stand(model: int, rank: int | None) -> None:
        own, name = ranking[model], names[model]
        scores: dict[str, float | None] = {}
        raw: dict[str, float | None] = {}
        for window, each in results.items():
            found = each.get(model)
            scores[window], raw[window] = (None, None) if found is None else (found.score, found.raw)
        benchmark, state = name in benchmarks, states.get(name)
        marks = ("provisional",) * (rank is None) + ("benchmark",) * benchmark
        if state in ("stopped", "left"):
            marks = (*marks, state)
        payable = rank is not None and 2 * own.scored >= of and not benchmark
        shown, skill, skills = (raw, own.score, scores) if by_skill else (scores, None, {})
        more = (own.scored / own.rounds, own.rounds, own.scored, skill)
        standings.append(Standing(rank, name, shown, *more, skills, keys[model], marks, payable, board.name))

    for ranks, chosen in (
        (True, [model for model, own in ranking.items() if own.scored >= needed]),
        (False, [model for model, own in ranking.items() if own.scored < needed]),
    ):
        place = 1
        for tied in _ordered(ranking, chosen, names, high_is_better):
            for model in tied:
                stand(model, place if ranks else None)
            place += len(tied)
    return standings


def _ordered(
    ranking: Mapping[int, Result], models: Sequence[int], names: Sequence[str], high_is_better: bool
) -> list[list[int]]:
    """ModelNumbers, first the best; those that are tied together, by id."""
    sign = -1 if high_is_better else 1
    rounded = sorted((sign * ranking[model].score, names[model], model) for model in models)
    groups: list[list[int]] = []
    # Rounding keeps the order, so that only what is rounded to one number is to be compared exactly.
    for _, same in groupby(rounded, key=lambda each: each[0]):
        tied = [model for _, _, model in same]
        groups += [tied] if len(tied) == 1 else _exactly(ranking, tied, names, sign)
    return groups


def _exactly(ranking: Mapping[int, Result], models: Sequence[int], names: Sequence[str], sign: int) -> list[list[int]]:
    common = math.lcm(*{ranking[model].weight for model in models})
    totals = [
        (sign * ranking[model].total * (common // ranking[model].weight), names[model], model) for model in models
    ]
    return [[model for _, _, model in same] for _, same in groupby(sorted(totals), key=lambda each: each[0])]
