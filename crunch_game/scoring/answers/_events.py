"""What is forecast as one number, or one number for each category: points and probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any, TypeAlias

from crunch_game.scoring.answers._families import LARGEST
from crunch_game.scoring.answers._schemas import Marker, Schema, also, number

MAX_CATEGORIES = 1_000
"""Categories of one answer."""
TOLERANCE = 1e-6
"""By how much the probabilities of all categories may miss one."""


class Number(Marker):
    """A number within bounds, both included, and its name in what a participant is told."""

    def __init__(self, kind: str, least: float, most: float) -> None:
        self.kind = kind
        self._bounds = (least, most)

    def __repr__(self) -> str:
        return f"<a {self.kind}>"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Schema:
        return number(f"a {self.kind}", *self._bounds)


class _Categories(Marker):
    kind = "categories"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Schema:
        from pydantic_core import core_schema

        probability = number("a probability", 0.0, 1.0)
        shapes: dict[Any, Schema] = {
            "list": core_schema.list_schema(probability, min_length=1, max_length=MAX_CATEGORIES),
            "dict": core_schema.dict_schema(
                core_schema.str_schema(), probability, min_length=1, max_length=MAX_CATEGORIES
            ),
        }
        choice = core_schema.tagged_union_schema(
            shapes,
            discriminator=lambda answer: type(answer).__name__,
            custom_error_type="answer",
            custom_error_message="probabilities of categories must be a dict, by name, or a list",
        )
        return also(check_sum, choice)


Point: TypeAlias = Annotated[float, Number("point", -LARGEST, LARGEST)]
"""A forecast of one number by one number."""

Probability: TypeAlias = Annotated[float, Number("probability", 0.0, 1.0)]
"""The probability of an event, 0 to 1."""

Categories: TypeAlias = Annotated[dict[str, float] | list[float], _Categories()]
"""The probability of each category, by its name or, where categories are numbered from 0, as a list; they sum to 1."""


class Names(Marker):
    """Asks for the probabilities of these categories, by name: `Annotated[Categories, Names("down", "flat", "up")]`.

    An answer that is admitted has the names in this order, which says what is near to what.

    Raises:
        ValueError: There are none, or one stands there twice.
    """

    kind = "categories"

    def __init__(self, *names: str) -> None:
        if not names or len(set(names)) < len(names):
            raise ValueError(f"categories have different names, and there is at least one, got {list(names)}")
        self.names = names

    def __repr__(self) -> str:
        return f"Names({', '.join(map(repr, self.names))})"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Schema:
        return also(self._check, handler(source))

    def _check(self, answer: dict[str, float] | list[float]) -> dict[str, float]:
        if not isinstance(answer, dict) or answer.keys() != set(self.names):
            raise ValueError(f"the categories must be {list(self.names)}, by name")
        return {name: answer[name] for name in self.names}


def check_sum(answer: dict[str, float] | list[float]) -> dict[str, float] | list[float]:
    probabilities: Iterable[float] = answer.values() if isinstance(answer, dict) else answer
    total = math.fsum(probabilities)
    if abs(total - 1) > TOLERANCE:
        raise ValueError(f"the probabilities of all categories must sum to 1, got {total!r}")
    return answer


def check_probability(answer: Any) -> float:
    if isinstance(answer, str | bool) or not 0 <= answer <= 1:
        raise ValueError(f"a probability must be a number from 0 to 1, got {answer!r}")
    return float(answer)
