"""Samples: draws of one number, or of a whole path."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from crunch_game._quantities import counted
from crunch_game.scoring.answers._schemas import Marker, Schema, also, numbers

MAX_DRAWS = 10_000
"""Draws in one answer."""
MAX_STEPS = 10_000
"""Steps of one path."""
MAX_NUMBERS = 1_000_000
"""Numbers in one answer of paths, draws times steps."""


class _Samples(Marker):
    kind = "samples"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Schema:
        return numbers("a draw", 1, MAX_DRAWS)


class _Paths(Marker):
    kind = "paths"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Schema:
        from pydantic_core import core_schema

        path = numbers("a step of a path", 1, MAX_STEPS)
        return also(_check_rectangle, core_schema.list_schema(path, min_length=1, max_length=MAX_DRAWS))


Samples: TypeAlias = Annotated[list[float], _Samples()]
"""A forecast of one number by draws, all equally likely. `Annotated[Samples, Len(100, 1000)]` bounds their count."""

Paths: TypeAlias = Annotated[list[list[float]], _Paths()]
"""A forecast of several numbers together: draws, each a list of one number for each step."""


class PathLength(Marker):
    """Asks for paths of so many steps: `Annotated[Paths, Len(1000, 1000), PathLength(12)]`."""

    kind = "paths"

    def __init__(self, count: int) -> None:
        if not 1 <= count <= MAX_STEPS:
            raise ValueError(f"a path has 1 to {MAX_STEPS:,} steps, not {count}")
        self.count = count

    def __repr__(self) -> str:
        return f"PathLength({self.count})"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Schema:
        return also(self._check, handler(source))

    def _check(self, answer: list[list[float]]) -> list[list[float]]:
        if len(answer[0]) != self.count:
            raise ValueError(f"a path must have {counted(self.count, 'step')}, got {len(answer[0])}")
        return answer


def _check_rectangle(answer: list[list[float]]) -> list[list[float]]:
    lengths = set(map(len, answer))
    if len(lengths) > 1:
        raise ValueError(f"all paths must have equally many steps, got {min(lengths)} and {max(lengths)}")
    if len(answer) * len(answer[0]) > MAX_NUMBERS:
        raise ValueError(f"{len(answer)} paths of {len(answer[0])} steps are more than {MAX_NUMBERS:,} numbers")
    return answer
