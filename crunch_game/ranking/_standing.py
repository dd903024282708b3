"""Standing: one model's place on a board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from crunch_game._public import record


@record
class Standing:
    """One model's place on a board.

    `coverage`, `rounds`, `scored`, `skill` and `keys` are those of the window that determines the ranks.

    Attributes:
        rank: From 1; equal scores share a rank, as in 1, 1, 3. None for a model that is shown at the bottom, since it
            has too few scores of its own.
        model_id: The model's id.
        scores: In each window the mean of its own raw scores, or the board's mean where that is by the mean; None if it
            has no score of its own there.
        coverage: `scored` / `rounds`, from 0 to 1: the model's own, whatever the others did.
        rounds: In how many rounds that have resolved it was asked.
        scored: In how many of these it has a score of its own.
        skill: What a board by skill ranks by: by how much better than the others, in units of what is usually lost (0.1
            is 10 % of it). None on a board by the mean.
        skills: The skill in each window; None where it has no score of its own. Empty on a board by the mean.
        keys: The mean of its own raw scores for each key.
        marks: Any of "provisional" (it has too few scores for a rank), "benchmark", "stopped" and "left".
        payable: Whether it has a rank, and scores of its own in half of the window's rounds; never for a benchmark.
        board: The board's name.
    """

    rank: int | None
    model_id: str
    scores: Mapping[str, float | None]
    coverage: float
    rounds: int
    scored: int
    skill: float | None = None
    skills: Mapping[str, float | None] = field(default_factory=dict)
    keys: Mapping[str, float] = field(default_factory=dict)
    marks: tuple[str, ...] = ()
    payable: bool = False
    board: str = ""


def noted_standings(noted: Iterable[Mapping[str, Any]]) -> list[Standing]:
    """The standings of a board from the document that its store has: what `asdict` made of them, as JSON has it.

    Raises:
        TypeError, KeyError: It is no such document.
    """
    return [Standing(**{**each, "marks": tuple(each["marks"])}) for each in noted]
