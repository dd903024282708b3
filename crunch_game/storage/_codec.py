"""Converts records to the columns that every store keeps, and back.

A game gets the same values from every store, and so the same scores: those that JSON would return (tuples as lists,
keys as text), and times in UTC to the microsecond.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from heapq import merge
from operator import attrgetter
from typing import Any, NamedTuple

from crunch_game._status import Status
from crunch_game.errors import StoreError
from crunch_game.feeds.base import Row
from crunch_game.storage._values import decode, decode_object, encode, finite
from crunch_game.storage._values import name as name
from crunch_game.storage._values import prose as prose
from crunch_game.storage.base import Arrival, KeptScore, Lease, ModelRecord, Prediction, Score, ScoredRound, Session

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

UNKNOWN = -(2**63)
"""The `arrived` of a row of which it is not known. Not NULL: to a unique index, no NULL equals another one."""


class PackedRow(NamedTuple):
    """A row of the feed. `time` and `arrived` identify it: microseconds since 1970 UTC."""

    time: int
    arrived: int
    session: int | None
    aside: str | None
    data: str | None


class PackedPrediction(NamedTuple):
    """A prediction. The first three columns identify it; sorted by `resolves_at` and these, it is oldest first.

    `pending` is 1 if it is to be scored, and 0 from the start if there is no answer to score.
    """

    at: int
    key: str
    model_id: str
    resolves_at: int
    deployment_id: str
    horizon: float
    arguments: str | None
    status: str
    value: str | None
    error: str | None
    elapsed: float
    pending: int
    asked_at: int | None
    seen: int | None
    excused: int | None


class PackedScore(NamedTuple):
    """A score. The first three columns identify the prediction.

    `kind` says what a score is that is not an answer's own: "unscorable", "absent", "aside" if it was set aside, or
    "void" or "retracted" if it was corrected.
    """

    at: int
    key: str
    model_id: str
    resolves_at: int
    value: float | None
    outcome: str | None
    reason: str | None
    kind: str | None
    metrics: str | None


class PackedRound(NamedTuple):
    """A scored round. The first two columns identify it."""

    at: int
    key: str
    resolves_at: int
    horizon: float
    arguments: str | None
    answers: int
    facts: str | None
    void: str | None


class PackedModel(NamedTuple):
    """A model's record."""

    model_id: str
    name: str
    deployment_id: str
    state: str
    reason: str | None


class PackedSession(NamedTuple):
    """A session of a worker. The first column identifies it."""

    number: int
    started: int
    heartbeat: int
    committed: int | None


class PackedLease(NamedTuple):
    """A lease. The first column identifies it."""

    kind: str
    token: str
    host: str
    pid: int
    since: int
    beat: int
    process: str | None


_ARRIVED = attrgetter("arrived")


def microseconds(time: datetime) -> int:
    """Return the microseconds since 1970 UTC.

    Raises:
        StoreError: The time has no time zone.
    """
    try:
        delta = time - _EPOCH
    except TypeError:
        raise StoreError(f"{time!r} has no time zone; a store keeps aware times") from None
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def moment(time: int) -> datetime:
    """Return the time of these microseconds, in UTC."""
    return _EPOCH + timedelta(microseconds=time)


def microseconds_if_any(time: datetime | None) -> int | None:
    """Return the microseconds since 1970 UTC of a time that may be missing."""
    return None if time is None else microseconds(time)


def moment_if_any(time: int | None) -> datetime | None:
    """Return the time of microseconds that may be missing."""
    return None if time is None else moment(time)


def pack_rows(
    rows: Sequence[Row], aside: Sequence[tuple[Row, str]] = (), session: int | None = None
) -> list[PackedRow]:
    """Return the columns of rows, and of those that were set aside, in the order of their arrival."""
    told = [_pack_row(row, session, None) for row in rows]
    others = [_pack_row(row, session, reason) for row, reason in aside]
    return list(merge(told, others, key=_ARRIVED)) if others else told


def _pack_row(row: Row, session: int | None, aside: str | None) -> PackedRow:
    arrived = UNKNOWN if row.arrived is None else microseconds(row.arrived)
    data = _json(row.data, f"the row of {row.time.isoformat()}")
    return PackedRow(microseconds(row.time), arrived, session, prose(aside), data)


def pack_prediction(prediction: Prediction) -> PackedPrediction:
    """Return the columns of a prediction."""
    who = _who(prediction)
    return PackedPrediction(
        microseconds(prediction.at),
        name(prediction.key),
        name(prediction.model_id),
        microseconds(prediction.resolves_at),
        name(prediction.deployment_id),
        _finite(prediction.horizon, who, "horizon"),
        _json(prediction.arguments, who, "the arguments"),
        str(prediction.status),
        _json(prediction.value, who, "the answer"),
        prose(prediction.error),
        _finite(prediction.elapsed, who, "elapsed"),
        int(prediction.status == Status.OK),
        microseconds_if_any(prediction.asked_at),
        microseconds_if_any(prediction.seen),
        int(prediction.excused),
    )


def first_answers(packed: Iterable[PackedPrediction]) -> dict[tuple[str, str], int]:
    """Return when each model first answered each key among these predictions, by model and key."""
    first: dict[tuple[str, str], int] = {}
    for each in packed:
        if each.pending and each.value is not None:
            who = each.model_id, each.key
            first[who] = min(each.at, first.get(who, each.at))
    return first


def pack_score(score: Score) -> PackedScore:
    """Return the columns of a score."""
    who = _who(score)
    return PackedScore(
        microseconds(score.at),
        name(score.key),
        name(score.model_id),
        microseconds(score.resolves_at),
        None if score.value is None else _finite(score.value, who, "the score"),
        _json(score.outcome, who, "the outcome"),
        prose(score.reason),
        score.kind,
        _json(dict(score.metrics), who, "the scores by metric") if score.metrics else None,
    )


def pack_round(scored: ScoredRound) -> PackedRound:
    """Return the columns of a scored round."""
    who = f"the round of {scored.key} at {scored.at.isoformat()}"
    return PackedRound(
        microseconds(scored.at),
        name(scored.key),
        microseconds(scored.resolves_at),
        _finite(scored.horizon, who, "horizon"),
        _json(dict(scored.arguments), who, "the arguments"),
        scored.answers,
        _json({name: dict(facts) for name, facts in scored.facts.items()}, who, "the facts"),
        prose(scored.void),
    )


def pack_model(model: ModelRecord) -> PackedModel:
    """Return the columns of a model."""
    return PackedModel(
        name(model.model_id),
        prose(model.name) or "",
        name(model.deployment_id),
        str(model.state),
        prose(model.reason),
    )


def pack_session(session: Session) -> PackedSession:
    """Return the columns of a session."""
    return PackedSession(
        session.number,
        microseconds(session.started),
        microseconds(session.heartbeat),
        microseconds_if_any(session.committed),
    )


def pack_lease(lease: Lease) -> PackedLease:
    """Return the columns of a lease."""
    return PackedLease(
        name(lease.kind),
        name(lease.token),
        prose(lease.host) or "",
        lease.pid,
        microseconds(lease.since),
        microseconds(lease.beat),
        lease.process,
    )


def pack_document(name: str, document: Mapping[str, Any]) -> str:
    """Write a small document as JSON text."""
    return _json(dict(document), f"the note {name!r}") or "{}"


def unpack_row(packed: Sequence[Any]) -> Row:
    """Return the row of these columns."""
    time, arrived, _, _, data = packed
    return Row(moment(time), decode_object(data), None if arrived == UNKNOWN else moment(arrived))


def unpack_arrival(packed: Sequence[Any]) -> Arrival:
    """Return the row of these columns, with what became of it."""
    _, _, session, aside, _ = packed
    return Arrival(unpack_row(packed), session, aside)


def unpack_prediction(packed: Sequence[Any]) -> Prediction:
    """Return the prediction of these columns."""
    at, key, model_id, resolves_at, deployment_id, horizon, arguments, status, value, error, *rest = packed
    elapsed, _, asked_at, seen, excused = rest
    return Prediction(
        model_id,
        deployment_id,
        key,
        moment(at),
        moment(resolves_at),
        finite(horizon),
        decode_object(arguments or "{}"),
        Status(status),
        decode(value),
        error,
        finite(elapsed),
        moment_if_any(asked_at),
        moment_if_any(seen),
        bool(excused),
    )


def unpack_score(packed: Sequence[Any]) -> Score:
    """Return the score of these columns."""
    at, key, model_id, resolves_at, value, outcome, reason, kind, metrics = packed
    return Score(
        model_id,
        key,
        moment(at),
        moment(resolves_at),
        None if value is None else finite(value),
        decode(outcome),
        reason,
        kind == "unscorable",
        kind == "absent",
        decode_object(metrics or "{}"),
        kind if kind in ("void", "retracted") else None,
    )


def unpack_kept(packed: Sequence[Any]) -> KeptScore:
    """Return what boards need of a score."""
    model_id, value, kind, metrics = packed
    return (
        model_id,
        None if value is None else finite(value),
        kind,
        None if metrics is None else decode_object(metrics),
    )


def unpack_round(packed: Sequence[Any]) -> ScoredRound:
    """Return the scored round of these columns."""
    at, key, resolves_at, horizon, arguments, answers, facts, void = packed
    return ScoredRound(
        key,
        moment(at),
        moment(resolves_at),
        finite(horizon),
        decode_object(arguments or "{}"),
        answers,
        decode_object(facts or "{}"),
        void,
    )


def unpack_session(packed: Sequence[Any]) -> Session:
    """Return the session of these columns."""
    number, started, heartbeat, committed = packed
    return Session(number, moment(started), moment(heartbeat), moment_if_any(committed))


def unpack_lease(packed: Sequence[Any]) -> Lease:
    """Return the lease of these columns."""
    kind, token, host, pid, since, beat, process = packed
    return Lease(kind, token, host, pid, moment(since), moment(beat), process)


def _who(record: Prediction | Score) -> str:
    return f"{record.model_id}: {record.key}"


def _json(value: Any, who: str, what: str = "the data") -> str | None:
    try:
        return encode(value)
    except ValueError as error:
        raise StoreError(f"{who}: {what} cannot be kept: {error}; give numbers, texts, lists and dicts") from error


def _finite(value: Any, who: str, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise StoreError(f"{who}: {what} must be a finite number, got {value!r}")
    return number
