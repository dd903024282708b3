"""The columns of each table, what they mean, and what stands in them for one record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias

from crunch_game._quantities import described
from crunch_game.errors import UsageError
from crunch_game.storage._values import encode

Kind: TypeAlias = Literal["word", "text", "time", "number", "count", "flag"]
Cells: TypeAlias = tuple[Any, ...]


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        name: Its name.
        kind: "word" is a text that many records share; "count" a whole number; "time" is aware, UTC.
        meaning: What it says, with the unit.
    """

    name: str
    kind: Kind
    meaning: str


_WHO = (
    Column("model_id", "word", "the model's id"),
    Column("key", "word", "the name of the prediction"),
    Column("at", "time", "the slot of the round, on the game's clock"),
    Column("resolves_at", "time", "when the horizon ends"),
)
_SCORE = (
    Column("score", "number", "by the first metric, in the rule's unit; none if there is no score"),
    Column("score_kind", "word", "unscorable, absent or aside, if it is not an answer's own score"),
    Column("score_reason", "text", "why there is no score"),
    Column("outcome", "text", "what really happened, as JSON"),
    Column("outcome_number", "number", "the outcome, if it is a plain number"),
    Column("metrics", "text", "the score by each metric, as JSON, where the game has several"),
)
_HORIZON = Column("horizon", "number", "seconds")
_ARGUMENTS = Column("arguments", "text", "what was asked, as JSON")

_TABLES: Mapping[str, tuple[Column, ...]] = {
    "predictions": (
        *_WHO,
        Column("deployment_id", "word", "the version of the model's code"),
        _HORIZON,
        _ARGUMENTS,
        Column("status", "word", "how the call ended: ok, timeout, raised, ..."),
        Column("answer", "text", "the answer, as JSON"),
        Column("answer_number", "number", "the answer, if it is a plain number"),
        Column("error", "text", "why there is no answer"),
        Column("elapsed", "number", "seconds that the model took"),
        Column("asked_at", "time", "when it was asked, by the wall clock"),
        Column("seen", "time", "the time of the newest row that models had been told"),
        Column("excused", "flag", "whether the lack of an answer is nobody's absence"),
        *_SCORE,
    ),
    "scores": (*_WHO, *_SCORE),
    "rows": (
        Column("time", "time", "the row's own"),
        Column("arrived", "time", "when it came, by the wall clock"),
        Column("session", "count", "the number of the session that got it"),
        Column("aside", "text", "why it was set aside, and nobody was told it"),
        Column("data", "text", "what it says, as JSON"),
    ),
    "rounds": (
        *_WHO[1:],
        _HORIZON,
        _ARGUMENTS,
        Column("answers", "count", "how many models answered"),
        Column("facts", "text", "what was made of its scores, by metric, as JSON"),
    ),
    "models": (
        Column("model_id", "word", "the model's id"),
        Column("name", "text", "its name for people"),
        Column("deployment_id", "word", "the last version of its code"),
        Column("state", "word", "its last known state"),
        Column("reason", "text", "why it does not play"),
    ),
}


def columns_of(what: str) -> tuple[Column, ...]:
    """Return the columns of a table.

    Raises:
        UsageError: There is no such table.
    """
    if what not in _TABLES:
        raise UsageError(f"a store has no {described(what)}; it has {', '.join(_TABLES)}")
    return _TABLES[what]


def model_columns() -> tuple[Column, ...]:
    """Return the columns of the table of models."""
    return _TABLES["models"]


def cells_of(
    stream: Callable[..., Iterator[Any]], what: str, since: datetime | None, until: datetime | None, **of: str | None
) -> Iterator[Cells]:
    """Yield the cells of each record, in the order of `columns_of`.

    Args:
        stream: A store's.
        what: The table.
        since: As for `stream`.
        until: As for `stream`.
        **of: `model_id` and `key`, as for `stream`.

    Raises:
        UsageError: There is no such table, or its records are of no model, or of no key, and one is asked for.
    """
    names = {column.name for column in columns_of(what)}
    for name, value in of.items():
        if value is not None and name not in names:
            raise UsageError(f"{what} are of no {name}; leave out {name}={value!r}")
    for name, time in ("since", since), ("until", until):
        if time is not None and time.tzinfo is None:
            raise UsageError(f"{name}={time!r} has no time zone; give an aware time, such as one with timezone.utc")
    found = stream(what, since, until, **of)
    if what == "predictions":
        found = _with_scores(found, stream("scores", since, until, **of))
    return map(_CELLS[what], found)


def _with_scores(predictions: Iterator[Any], scores: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield each prediction with its score, or None. Both come oldest first, so that none need be kept."""
    score = next(scores, None)
    for prediction in predictions:
        place = _oldest_first(prediction)
        while score is not None and _oldest_first(score) < place:
            score = next(scores, None)
        yield prediction, score if score is not None and _oldest_first(score) == place else None


_oldest_first = attrgetter("resolves_at", "at", "key", "model_id")


def _of_prediction(pair: tuple[Any, Any]) -> Cells:
    each, score = pair
    return (
        *_of_who(each),
        each.deployment_id,
        each.horizon,
        _text(each.arguments),
        str(each.status),
        _text(each.value),
        number(each.value),
        each.error,
        each.elapsed,
        utc(each.asked_at),
        utc(each.seen),
        each.excused,
        *(_NO_SCORE if score is None else _of_score(score)),
    )


def _of_who(each: Any) -> Cells:
    return each.model_id, each.key, utc(each.at), utc(each.resolves_at)


def _of_score(score: Any) -> Cells:
    metrics = _text(score.metrics) if score.metrics else None
    return score.value, score.kind, score.reason, _text(score.outcome), number(score.outcome), metrics


def _of_arrival(each: Any) -> Cells:
    return utc(each.row.time), utc(each.row.arrived), each.session, each.aside, _text(each.row.data)


def _of_round(each: Any) -> Cells:
    asked = each.key, utc(each.at), utc(each.resolves_at), each.horizon, _text(each.arguments)
    return *asked, each.answers, _text(each.facts)


_NO_SCORE = (None,) * len(_SCORE)
_CELLS: Mapping[str, Callable[[Any], Cells]] = {
    "predictions": _of_prediction,
    "scores": lambda score: (*_of_who(score), *_of_score(score)),
    "rows": _of_arrival,
    "rounds": _of_round,
    "models": attrgetter("model_id", "name", "deployment_id", "state", "reason"),
}


def _text(value: Any) -> str | None:
    return encode(value)


def number(value: Any) -> float | None:
    """Return a plain number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def utc(time: datetime | None) -> datetime | None:
    """Return a time as one of UTC."""
    return None if time is None else time.astimezone(UTC)


def transposed(columns: Sequence[Column], cells: Sequence[Cells]) -> list[tuple[Any, ...]]:
    """Return the values of each column."""
    return list(zip(*cells, strict=True)) if cells else [()] * len(columns)
