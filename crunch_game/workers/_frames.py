"""What a run of a game came to as DataFrames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from crunch_game._quantities import described
from crunch_game.errors import UsageError
from crunch_game.ranking import Standing
from crunch_game.storage import encode
from crunch_game.storage.base import ModelRecord
from crunch_game.storage.exporting import Column, frame, model_columns
from crunch_game.workers._answers import RepeatedFault

TABLES: Final = ("leaderboard", "models", "faults")

_FAULTS: Final = (
    Column("model_id", "word", "the model's id"),
    Column("called", "word", "what it was asked for: a prediction's key, tick, load, or every call"),
    Column("kind", "word", "the fault's kind"),
    Column("count", "count", "how often"),
    Column("asked", "count", "of how many calls"),
    Column("first", "time", "when it first happened, on the game's clock"),
    Column("message", "text", "the first one's"),
    Column("traceback", "text", "the first one's"),
    Column("stderr", "text", "the first one's"),
    Column("stdout", "text", "the first one's"),
)


def result_frame(
    what: str,
    boards: Mapping[str, Sequence[Standing]],
    windows: Mapping[str, Sequence[str]],
    models: Sequence[ModelRecord],
    faults: Sequence[RepeatedFault],
    library: str,
) -> Any:
    """Return one of TABLES as a DataFrame.

    Raises:
        UsageError: It is another one, or the library is.
        MissingExtra: The library is not installed.
    """
    if what == "leaderboard":
        names = list(dict.fromkeys(name for of_board in windows.values() for name in of_board))
        return frame(_board_columns(names), _standings(boards, names), library)
    chosen, cells = {"models": (model_columns(), models), "faults": (_FAULTS, faults)}.get(what, (None, ()))
    if chosen is None:
        raise UsageError(
            f"a result has no {described(what)}; it has {', '.join(TABLES)}, and its store the rest: store.to_frame()"
        )
    return frame(chosen, map(attrgetter(*(column.name for column in chosen)), cells), library)


def _board_columns(windows: Sequence[str]) -> list[Column]:
    return [
        Column("board", "word", "the board's name"),
        Column("rank", "count", "from 1; none for a model that has too few scores"),
        Column("model_id", "word", "the model's id"),
        Column("skill", "number", "of the ranking window, in units of what is usually lost; none by the mean"),
        *(Column(f"score_{name}", "number", "the mean of raw scores in this window") for name in windows),
        *(Column(f"skill_{name}", "number", "the skill in this window") for name in windows),
        Column("coverage", "number", "scored / rounds, from 0 to 1"),
        Column("rounds", "count", "in how many rounds it was asked"),
        Column("scored", "count", "in how many of these it has a score of its own"),
        Column("keys", "text", "the mean of the raw scores for each key, as JSON"),
        Column("marks", "text", "provisional, benchmark, stopped, left"),
        Column("payable", "flag", "whether it has a rank, and enough scores of its own"),
    ]


def _standings(boards: Mapping[str, Sequence[Standing]], windows: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for board, standings in boards.items():
        for each in standings:
            yield (
                board,
                each.rank,
                each.model_id,
                each.skill,
                *map(each.scores.get, windows),
                *map(each.skills.get, windows),
                each.coverage,
                each.rounds,
                each.scored,
                encode(each.keys),
                ", ".join(each.marks) or None,
                each.payable,
            )
