"""A board as people read it: the cells of a table, as text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from crunch_game.ranking._board import Board, Metric
from crunch_game.ranking._standing import Standing

_MOST_KEYS: Final = 6
"""Keys that have a column each; of more, the means are left to documents."""
_PARTS: Final = re.compile(r"'[^']*'|\"[^\"]*\"|[^\s(),=]+")
"""A key reads "predict(asset='BTC', horizon=3600)"."""


def shown(standings: Sequence[Standing], rank_by: str | None = None, *, by_key: bool = True) -> list[list[str]]:
    """Return the cells of a board; the first row has the names of the columns.

    Skill is in per cent, of what `legend` says. The mean of the scores is shown for each key, in the rule's unit, and
    never across keys.

    Args:
        standings: One board's, best first.
        rank_by: The window that determines the ranks, to mark it.
        by_key: Whether the mean scores of each key are wanted.
    """
    by_skill = any(standing.skills for standing in standings)
    windows = list(standings[0].scores) if standings else []
    keys = sorted({key for standing in standings for key in standing.keys}) if by_skill and by_key else []
    keys = keys if len(keys) <= _MOST_KEYS else []
    marked = ["marks"] if any(standing.marks for standing in standings) else []
    heads = [f"{window} ▾" if window == rank_by else window for window in windows]
    rows = [["rank", "model", *heads, "rounds", "coverage", *labels(keys), *marked]]
    for standing in standings:
        places = standing.skills if by_skill else standing.scores
        cells = [_skill(places.get(window)) if by_skill else _score(places.get(window)) for window in windows]
        means = [_score(standing.keys.get(key), 4) for key in keys]
        rank = "–" if standing.rank is None else str(standing.rank)
        marks = [", ".join(standing.marks)] if marked else []
        share = f"{standing.coverage:.1%}"
        rows.append([rank, standing.model_id, *cells, str(standing.rounds), share, *means, *marks])
    return rows


def legend(board: Board, metrics: Mapping[str, Metric]) -> str | None:
    """Return what the skill on a board compares with, and what it is a share of; None for a board by the mean.

    Args:
        board: The board.
        metrics: Those of its game, by name.
    """
    if board.by == "mean":
        return None
    unit = metrics[board.metric or next(iter(metrics))].unit
    share = "the usual loss" if unit == "usual" else f"the rule's unit, {unit:g}"
    return f"skill: by how much better than {board.reference or 'the others'}, in % of {share}"


def labels(keys: Sequence[str]) -> list[str]:
    """Return a short name for each key: those of its parts that are not the same in all."""
    if len(keys) < 2:
        return ["mean score"] * len(keys)
    parts = [_PARTS.findall(key) for key in keys]
    if len({len(each) for each in parts}) > 1:
        return list(keys)
    differing = [column for column in zip(*parts, strict=True) if len(set(column)) > 1]
    for most in range(1, len(differing) + 1):  # no more than it takes to tell them apart
        named = [", ".join(part.strip("'\"") for part in each) for each in zip(*differing[:most], strict=True)]
        if len(set(named)) == len(keys):
            return named
    return list(keys)


def _skill(value: float | None) -> str:
    if value is None:
        return "–"
    text = f"{100 * value:+.1f}%"
    return "0.0%" if text in ("+0.0%", "-0.0%") else text


def _score(value: float | None, digits: int = 6) -> str:
    return "–" if value is None else f"{value:.{digits}g}"
