"""Converts the records of a log to columns, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from crunch_game._status import Status
from crunch_game.storage import _codec as codec
from crunch_game.storage._log import DeploymentRecord, EventRecord, FaultRecord, GameLog
from crunch_game.storage._values import decode_object


class PackedEvent(NamedTuple):
    """An event. `moment` and `writer` identify it."""

    moment: int
    writer: str
    kind: str
    text: str
    model_id: str | None
    seen: int | None
    details: str | None


class PackedFault(NamedTuple):
    """A fault. The first three columns identify it."""

    at: int
    key: str
    model_id: str
    deployment_id: str
    status: str
    kind: str
    message: str
    traceback: str | None
    stdout: str | None
    stderr: str | None
    exit: int | None


class PackedDeployment(NamedTuple):
    """A deployment. The first three columns identify it."""

    model_id: str
    deployment_id: str
    joined: int
    ready: int | None
    ended: int | None
    state: str
    reason: str | None
    restarts: int
    strikes: str | None


class PackedLog(NamedTuple):
    """The columns of a log's records."""

    events: list[PackedEvent]
    faults: list[PackedFault]
    deployments: list[PackedDeployment]


def pack_log(log: GameLog | None) -> PackedLog:
    """Return the columns of all of a log.

    Raises:
        StoreError: A record of it cannot be kept.
    """
    if log is None:
        return PackedLog([], [], [])
    return PackedLog(
        [_pack_event(each) for each in log.events],
        [_pack_fault(each) for each in log.faults],
        [_pack_deployment(each) for each in log.deployments],
    )


def _pack_event(event: EventRecord) -> PackedEvent:
    return PackedEvent(
        codec.microseconds(event.moment),
        codec.name(event.writer),
        codec.name(event.kind),
        codec.prose(event.text) or "",
        None if event.model_id is None else codec.name(event.model_id),
        _if_any(codec.microseconds, event.seen),
        codec.pack_document(event.kind, event.details),
    )


def _pack_fault(fault: FaultRecord) -> PackedFault:
    return PackedFault(
        codec.microseconds(fault.at),
        codec.name(fault.key),
        codec.name(fault.model_id),
        codec.name(fault.deployment_id),
        str(fault.status),
        codec.prose(fault.kind) or "",
        codec.prose(fault.message) or "",
        codec.prose(fault.traceback),
        codec.prose(fault.stdout),
        codec.prose(fault.stderr),
        fault.exit,
    )


def _pack_deployment(deployment: DeploymentRecord) -> PackedDeployment:
    return PackedDeployment(
        codec.name(deployment.model_id),
        codec.name(deployment.deployment_id),
        codec.microseconds(deployment.joined),
        _if_any(codec.microseconds, deployment.ready),
        _if_any(codec.microseconds, deployment.ended),
        codec.name(deployment.state),
        codec.prose(deployment.reason),
        deployment.restarts,
        codec.pack_document("strikes", deployment.strikes) if deployment.strikes else None,
    )


def unpack_event(packed: Sequence[Any]) -> EventRecord:
    """Return the event of these columns."""
    moment, writer, kind, text, model_id, seen, details = packed
    return EventRecord(
        codec.moment(moment), writer, kind, text, model_id, _if_any(codec.moment, seen), decode_object(details or "{}")
    )


def unpack_fault(packed: Sequence[Any]) -> FaultRecord:
    """Return the fault of these columns."""
    at, key, model_id, deployment_id, status, *rest = packed
    return FaultRecord(model_id, key, codec.moment(at), deployment_id, Status(status), *rest)


def unpack_deployment(packed: Sequence[Any]) -> DeploymentRecord:
    """Return the deployment of these columns."""
    model_id, deployment_id, joined, ready, ended, state, reason, restarts, strikes = packed
    moments = codec.moment(joined), _if_any(codec.moment, ready), _if_any(codec.moment, ended)
    return DeploymentRecord(model_id, deployment_id, *moments, state, reason, restarts, decode_object(strikes or "{}"))


def cleaned(record: EventRecord | FaultRecord | DeploymentRecord) -> EventRecord | FaultRecord | DeploymentRecord:
    """Return a record as any store would."""
    match record:
        case EventRecord():
            return unpack_event(_pack_event(record))
        case FaultRecord():
            return unpack_fault(_pack_fault(record))
        case DeploymentRecord():
            return unpack_deployment(_pack_deployment(record))


def _if_any(convert: Callable[[Any], Any], time: datetime | int | None) -> Any:
    return None if time is None else convert(time)
