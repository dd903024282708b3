"""Quantiles: the values below which the truth stays with the probabilities that are their levels."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from typing_extensions import TypedDict  # before Python 3.12, pydantic refuses the one of typing

from crunch_game.scoring.answers._schemas import Marker, Schema, also, numbers, record_of, told

MAX_LEVELS = 1_000
"""Levels of one answer."""


class Quantiles(TypedDict):
    """A forecast of one number by its quantiles: `{"levels": [0.1, 0.5, 0.9], "values": [-2.0, 0.0, 3.0]}`.

    As many values as levels, in the same order. Levels lie between 0 and 1, both excluded, and increase; values do not
    decrease.
    """

    levels: list[float]
    values: list[float]


class Levels(Marker):
    """Asks for the quantiles of these levels: `Annotated[Quantiles, Levels(0.1, 0.5, 0.9)]`.

    Raises:
        ValueError: They do not increase between 0 and 1, both excluded.
    """

    kind = "quantiles"

    def __init__(self, *levels: float) -> None:
        _check_levels(levels)
        self.levels = tuple(map(float, levels))

    def __repr__(self) -> str:
        return f"Levels({', '.join(map(repr, self.levels))})"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Schema:
        return also(self._check, handler(source))

    def _check(self, answer: Quantiles) -> Quantiles:
        levels = answer["levels"]
        # Levels that were computed, such as 3 * 0.1, may differ in the last digit.
        if len(levels) != len(self.levels) or any(abs(a - b) > 1e-9 for a, b in zip(levels, self.levels, strict=True)):
            raise ValueError(f"the levels must be {list(self.levels)}")
        return {"levels": list(self.levels), "values": answer["values"]}


def _schema(source: Any, handler: Any) -> Schema:
    from pydantic_core import core_schema

    level = told(core_schema.float_schema(gt=0, lt=1), "a level must be a number between 0 and 1, both excluded")
    levels = core_schema.list_schema(level, min_length=1, max_length=MAX_LEVELS)
    return also(check_quantiles, record_of({"levels": levels, "values": numbers("a value", 1, MAX_LEVELS)}))


setattr(Quantiles, "__get_pydantic_core_schema__", _schema)  # noqa: B010 - the body of a TypedDict cannot have it


def check_quantiles(answer: Quantiles) -> Quantiles:
    """Check what only both lists together can tell."""
    levels, values = answer["levels"], answer["values"]
    if len(levels) != len(values):
        raise ValueError(f"there must be as many values as levels, got {len(values)} values and {len(levels)} levels")
    _check_levels(levels)
    for low, high in pairwise(values):
        if low > high:
            raise ValueError(f"values must not decrease, but {low!r} stands before {high!r}")
    return answer


def _check_levels(levels: Any) -> None:
    if not levels:
        raise ValueError("there must be at least one level")
    for level in levels:
        if not 0 < level < 1:
            raise ValueError(f"a level must be a number between 0 and 1, both excluded, got {level!r}")
    for low, high in pairwise(levels):
        if low >= high:
            raise ValueError(f"levels must increase, but {low!r} stands before {high!r}")
