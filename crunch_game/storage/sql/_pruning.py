"""How old records are deleted from the tables of a database: in short transactions, the oldest first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, ClassVar

import sqlalchemy as sa

from crunch_game.storage import _codec as codec
from crunch_game.storage._pruning import MOST, PruneBounds, Prunes
from crunch_game.storage.sql import _tables as tables
from crunch_game.storage.sql._corrections import former_scores
from crunch_game.storage.sql._database import Database
from crunch_game.storage.sql._log import events, faults

_BLINK = timedelta(microseconds=1)
_YEARS = 1e10
"""Seconds; no horizon is longer, whatever a file holds."""
_FULL = 3
"""Answers of a round that others are rather measured by."""

_predictions, _scores, _rounds = tables.predictions.c, tables.scores.c, tables.rounds.c
_is_settled = _predictions.pending == 0
_is_kept = sa.exists().where(
    *(_predictions[name] == tables.known_rounds.c[name] for name in ("resolves_at", "at", "key"))
)
_has_prediction = sa.exists().where(*(_predictions[name] == faults.c[name] for name in ("at", "key", "model_id")))

Condition = sa.ColumnElement[bool]


class SQLPruning(Prunes):
    """The pruning of a SQLStore."""

    prunes: ClassVar[bool] = True
    _database: Database

    def _reading(self) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError

    def _writing(self) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError

    def prune(self, bounds: PruneBounds, *, most: int = MOST) -> Mapping[str, int]:
        """Delete some of what is old, the oldest first, in one transaction."""
        with self._writing() as connection:
            if found := _prune_answers(connection, bounds, most):
                return found
            for name, table, is_old, when in _others(connection, bounds):
                if (end := connection.execute(_last_of(when, is_old, most)).scalar()) is not None:
                    is_old = sa.and_(is_old, when <= end)
                if count := connection.execute(sa.delete(table).where(is_old)).rowcount:
                    return {name: count}
        return {}

    def prunable(self, bounds: PruneBounds) -> Mapping[str, int]:
        """Return how many records of each kind `prune` would delete until nothing is left."""
        found: dict[str, int] = {}
        with self._reading() as connection:

            def count(name: str, table: sa.Table, condition: Condition) -> None:
                number = connection.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar_one()
                if number:
                    found[name] = found.get(name, 0) + number

            if bounds.rounds is not None:
                limit = codec.microseconds(bounds.rounds)
                count("predictions", tables.predictions, sa.and_(_predictions.resolves_at < limit, _is_settled))
                count("scores", tables.scores, _scores.resolves_at < limit)
            for name, table, is_old, _ in _others(connection, bounds, gone=bounds.rounds):
                count(name, table, is_old)
        return found

    def give_back(self, most: int = MOST) -> int:
        """Give some of the space of what was deleted back to the file system."""
        with self._writing() as connection:
            return self._database.give_back(connection, most)

    def looked_up_from(self, moment: datetime, history: timedelta) -> tuple[int, datetime] | None:
        """Return the least number of the rows that `resolve` may look up from a moment on, and the oldest time."""
        time, number, limit = tables.rows.c.time, tables.rows.c.number, codec.microseconds(moment)
        told = sa.select(sa.func.max(time)).where(tables.rows.c.aside.is_(None))
        with self._reading() as connection:
            first = sa.select(sa.func.min(number)).where(time >= limit, tables.rows.c.aside.is_(None))
            resolving = connection.execute(first).scalar()
            before = told.where(time < limit) if resolving is None else told.where(time < limit, number < resolving)
            newest = connection.execute(before).scalar()
            if newest is None:
                return None
            oldest = connection.execute(before.where(time <= newest - history // _BLINK)).scalar()
            if oldest is None:
                return None
            since = sa.select(sa.func.min(number)).where(time >= oldest, tables.rows.c.aside.is_(None))
            return int(connection.execute(since).scalar_one()), codec.moment(oldest)


def _prune_answers(connection: sa.Connection, bounds: PruneBounds, most: int) -> dict[str, int]:
    """Delete the predictions and scores of some rounds, these rounds as a whole."""
    if bounds.rounds is None:
        return {}
    limit = codec.microseconds(bounds.rounds)
    last = (
        _last_of(_predictions.resolves_at, sa.and_(_predictions.resolves_at < limit, _is_settled), most),
        _last_of(_scores.resolves_at, _scores.resolves_at < limit, most),
    )
    ends = [end for end in (connection.execute(query).scalar() for query in last) if end is not None]
    through = min(ends, default=limit - 1)
    _end_pending_of_scored(connection, through)
    is_old = sa.and_(_predictions.resolves_at <= through, _is_settled)
    found = {
        "predictions": connection.execute(sa.delete(tables.predictions).where(is_old)).rowcount,
        "scores": connection.execute(sa.delete(tables.scores).where(_scores.resolves_at <= through)).rowcount,
    }
    known = tables.known_rounds
    connection.execute(sa.delete(known).where(known.c.resolves_at <= through, ~_is_kept))
    return {name: count for name, count in found.items() if count}


def _before(connection: sa.Connection, when: sa.Column[Any], limit: datetime) -> Condition:
    """Return which records are of before a time. With both ends, PostgreSQL needs no statistics to use the index."""
    first = connection.execute(sa.select(sa.func.min(when))).scalar()
    return sa.false() if first is None else sa.and_(when >= first, when < codec.microseconds(limit))


def _last_of(when: sa.Column[Any], is_old: Condition, most: int) -> sa.Select[Any]:
    """Return the query for the time up to which there are about so many records; no row if there are fewer."""
    return sa.select(when).where(is_old).order_by(when).offset(most - 1).limit(1)


def _end_pending_of_scored(connection: sa.Connection, through: int) -> None:
    """Note that predictions whose score was kept before them are not pending: it is deleted together with them."""
    identity = [*tables.predictions.primary_key]
    waiting = sa.select(*identity).where(tables.is_pending, _predictions.resolves_at <= through)
    if found := [tuple(each) for each in connection.execute(waiting)]:
        of_these = sa.select(*tables.scores.primary_key).where(sa.tuple_(*tables.scores.primary_key).in_(found))
        if scored := [tuple(each) for each in connection.execute(of_these)]:
            is_scored = sa.tuple_(*identity).in_(scored)
            connection.execute(sa.update(tables.predictions).where(is_scored).values(pending=0))


def _others(
    connection: sa.Connection, bounds: PruneBounds, *, gone: datetime | None = None
) -> Iterator[tuple[str, sa.Table, Condition, sa.Column[Any]]]:
    """Yield what else is deleted: its kind, where it is, what is old, and the time that tells it.

    Args:
        connection: Where rounds are counted.
        bounds: What is old.
        gone: Predictions that are settled, and resolve before this, count as deleted already.
    """
    if bounds.rounds is not None:
        limit = codec.microseconds(bounds.rounds)
        for is_old in _old_rounds(connection, limit, bounds.past):
            yield "rounds", tables.rounds, is_old, _rounds.resolves_at
        yield "former_scores", former_scores, former_scores.c.resolves_at < limit, former_scores.c.resolves_at
        kept = _has_prediction
        if gone is not None:
            same = (_predictions[name] == faults.c[name] for name in ("at", "key", "model_id"))
            kept = sa.exists().where(*same, sa.or_(_predictions.resolves_at >= limit, ~_is_settled))
        yield "faults", faults, sa.and_(faults.c.at < limit, ~kept), faults.c.at
    if bounds.rows is not None:
        yield "rows", tables.rows, _before(connection, tables.rows.c.time, bounds.rows), tables.rows.c.time
    if bounds.log is not None:
        yield "events", events, _before(connection, events.c.moment, bounds.log), events.c.moment


def _old_rounds(connection: sa.Connection, limit: int, past: int) -> Iterator[Condition]:
    """Yield, for each key, which of its rounds nothing is measured by any more."""
    keys = [key for (key,) in connection.execute(sa.select(tables.last_rounds.c.key))]
    for key in keys:
        of_key = sa.and_(_rounds.key == key, _rounds.resolves_at < limit)
        last = sa.select(_rounds.horizon).where(of_key).order_by(_rounds.resolves_at.desc()).limit(1)
        seconds = connection.execute(last).scalar()
        horizon = int(seconds * 1_000_000) if isinstance(seconds, float) and 0.0 < seconds < _YEARS else 0
        of_key = sa.and_(of_key, _rounds.resolves_at < limit - horizon)
        newest = sa.select(_rounds.resolves_at).where(of_key).order_by(_rounds.resolves_at.desc())
        first = connection.execute(newest.offset(past - 1).limit(1)).scalar()
        if first is None:
            continue
        full = connection.execute(newest.where(_rounds.answers >= _FULL).offset(past - 1).limit(1)).scalar()
        is_old = sa.and_(of_key, _rounds.resolves_at < first)
        yield (
            is_old
            if full is not None and full >= first
            else sa.and_(
                is_old, sa.or_(_rounds.answers < _FULL, _rounds.resolves_at < (-(2**63) if full is None else full))
            )
        )
