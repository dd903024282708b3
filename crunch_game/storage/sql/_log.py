"""Logs in the tables of a database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, ClassVar

import sqlalchemy as sa

from crunch_game.storage import _codec as codec
from crunch_game.storage._log import DeploymentRecord, EventRecord, FaultRecord, GameLog, KeepsLog
from crunch_game.storage.logged import (
    PackedDeployment,
    PackedEvent,
    PackedFault,
    pack_log,
    unpack_deployment,
    unpack_event,
    unpack_fault,
)
from crunch_game.storage.sql._reading import Reader
from crunch_game.storage.sql._tables import Insert, Name, Number, identity_columns, metadata, upsert

events = sa.Table(
    "events",
    metadata,
    sa.Column("number", Number, primary_key=True),
    sa.Column("moment", sa.BigInteger, nullable=False),
    sa.Column("writer", Name, nullable=False),
    sa.Column("kind", Name, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("model_id", Name),
    sa.Column("seen", sa.BigInteger),
    sa.Column("details", sa.Text),
    sa.UniqueConstraint("moment", "writer"),
    sqlite_autoincrement=True,
)
faults = sa.Table(
    "faults",
    metadata,
    *identity_columns(),
    sa.Column("deployment_id", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("traceback", sa.Text),
    sa.Column("stdout", sa.Text),
    sa.Column("stderr", sa.Text),
    sa.Column("exit", sa.BigInteger),
    # There are few: a model that fails is soon stopped.
    sa.Index("faults_of_model", "model_id", "at", "key"),
)
deployments = sa.Table(
    "deployments",
    metadata,
    sa.Column("model_id", Name, primary_key=True),
    sa.Column("deployment_id", Name, primary_key=True),
    sa.Column("joined", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("ready", sa.BigInteger),
    sa.Column("ended", sa.BigInteger),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("restarts", sa.Integer, nullable=False),
    sa.Column("strikes", sa.Text),
)

# Literals: with bound parameters, SQLite would not use a partial index.
_is_seldom = events.c.kind.not_in([sa.literal_column("'TickPlayed'"), sa.literal_column("'RoundPlayed'")])
_is_of_model = events.c.model_id.is_not(None)
sa.Index("seldom_events", events.c.number, sqlite_where=_is_seldom, postgresql_where=_is_seldom)
sa.Index("seldom_moments", events.c.moment, sqlite_where=_is_seldom, postgresql_where=_is_seldom)
sa.Index(
    "events_of_model", events.c.model_id, events.c.number, sqlite_where=_is_of_model, postgresql_where=_is_of_model
)

_event_columns = [events.c[name] for name in PackedEvent._fields]
_fault_columns = [faults.c[name] for name in PackedFault._fields]

_INSERT_EVENT = Insert("events", PackedEvent._fields)
_INSERT_FAULT = Insert("faults", PackedFault._fields)
_UPSERT_DEPLOYMENT = upsert(deployments, *PackedDeployment._fields)


def inserts(log: GameLog | None) -> list[tuple[Insert, Sequence[tuple[Any, ...]]]]:
    """Return what is written of a log."""
    packed = pack_log(log)
    return [
        (_INSERT_EVENT, packed.events),
        (_INSERT_FAULT, packed.faults),
        (_UPSERT_DEPLOYMENT, packed.deployments),
    ]


class SQLLog(KeepsLog):
    """The logs of a SQLStore."""

    keeps_log: ClassVar[bool] = True
    _reader: Reader

    def _fetch(self, query: sa.Select[Any]) -> Sequence[Sequence[Any]]:
        raise NotImplementedError

    def events(
        self,
        after: int = 0,
        *,
        since: datetime | None = None,
        model_id: str | None = None,
        each_time: bool = True,
        last: int | None = None,
    ) -> list[tuple[int, EventRecord]]:
        """Return the events that were kept, in the order in which they were saved, each with its number."""
        query = sa.select(*_event_columns, events.c.number)
        if after:
            query = query.where(events.c.number > after)
        if since is not None:
            query = query.where(events.c.moment >= codec.microseconds(since))
        if model_id is not None:
            query = query.where(events.c.model_id == model_id)
        if not each_time:
            query = query.where(_is_seldom)
        if since is not None:  # sorted here: a database would read all events by their numbers, to save the sorting
            found: Sequence[Any] = sorted(self._fetch(query.order_by(events.c.moment)), key=itemgetter(-1))
            found = found if last is None else found[max(0, len(found) - last) :]
        elif last is not None:
            found = self._fetch(query.order_by(events.c.number.desc()).limit(last))[::-1]
        else:
            found = self._fetch(query.order_by(events.c.number))
        return list(self._reader.each("event", _numbered, found, 2))

    def faults(self, since: datetime | None = None, *, model_id: str | None = None) -> list[FaultRecord]:
        """Return the faults of all models, or of one, whose `at` is `since` or later."""
        query = sa.select(*_fault_columns).order_by(*faults.primary_key)
        if since is not None:
            query = query.where(faults.c.at >= codec.microseconds(since))
        if model_id is not None:
            query = query.where(faults.c.model_id == model_id)
        return list(self._reader.each("fault", unpack_fault, self._fetch(query)))

    def deployments(self, model_id: str | None = None) -> list[DeploymentRecord]:
        """Return the deployments of all models, or of one, sorted by model and by when they joined."""
        columns = deployments.c
        query = sa.select(deployments).order_by(columns.model_id, columns.joined, columns.deployment_id)
        if model_id is not None:
            query = query.where(columns.model_id == model_id)
        return list(self._reader.each("deployment", unpack_deployment, self._fetch(query)))


def _numbered(packed: Sequence[Any]) -> tuple[int, EventRecord]:
    *columns, number = packed
    return number, unpack_event(columns)
