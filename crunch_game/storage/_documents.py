"""Records as plain documents and back, for whoever keeps them somewhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from crunch_game._public import public
from crunch_game._status import Status
from crunch_game.feeds.base import Row
from crunch_game.storage import _codec as codec
from crunch_game.storage._corrections import Correction, FormerScore, PublishedBoard
from crunch_game.storage._log import DeploymentRecord, EventRecord, FaultRecord
from crunch_game.storage.base import Arrival, Lease, ModelRecord, Prediction, Score, ScoredRound, Session
from crunch_game.storage.corrected import cleaned as cleaned_correction
from crunch_game.storage.logged import cleaned

_T = TypeVar("_T")

_CLEANED: dict[type, Callable[[Any], Any]] = {
    Row: lambda row: codec.unpack_row(codec.pack_rows([row])[0]),
    Prediction: lambda prediction: codec.unpack_prediction(codec.pack_prediction(prediction)),
    Score: lambda score: codec.unpack_score(codec.pack_score(score)),
    ScoredRound: lambda scored: codec.unpack_round(codec.pack_round(scored)),
    ModelRecord: lambda model: ModelRecord(*codec.pack_model(model)),
    Session: lambda session: codec.unpack_session(codec.pack_session(session)),
    Lease: lambda lease: codec.unpack_lease(codec.pack_lease(lease)),
    Arrival: lambda arrival: codec.unpack_arrival(
        codec.pack_rows([], [(arrival.row, arrival.aside)], arrival.session)[0]
    ),
    **dict.fromkeys((EventRecord, FaultRecord, DeploymentRecord), cleaned),
    **dict.fromkeys((Correction, FormerScore, PublishedBoard), cleaned_correction),
}


@public
def as_document(record: Any) -> dict[str, Any]:
    """Return a record of a store as a dict of what JSON has, NaN included; times are texts, UTC to the microsecond.

    Args:
        record: A Row, Arrival, Prediction, Score, ScoredRound, ModelRecord, Session, Lease, EventRecord, FaultRecord,
            DeploymentRecord, Correction, FormerScore or PublishedBoard.

    Raises:
        StoreError: It has a time without zone, a value that JSON has no form for, a name that not every store can keep,
            or a score that is no finite number.
    """
    cleaned = _CLEANED[type(record)](record)
    return {field.name: _plain(getattr(cleaned, field.name)) for field in fields(cleaned)}


@public
def from_document(kind: type[_T], document: Mapping[str, Any]) -> _T:
    """Return the record of this kind that `as_document` made the document of.

    Raises:
        ValueError: A time or a status cannot be read.
        TypeError: It has other fields.
    """
    types = {field.name: str(field.type) for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: _typed(types.get(name, ""), value) for name, value in document.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Row | Score):
        return as_document(value)
    return str(value) if isinstance(value, Status) else value


def _typed(annotation: str, value: Any) -> Any:
    if value is not None and annotation.startswith("datetime"):
        return datetime.fromisoformat(value)
    if annotation == "Row":
        return from_document(Row, value)
    if annotation == "Score | None" and value is not None:
        return from_document(Score, value)
    return Status(value) if annotation == "Status" else value
