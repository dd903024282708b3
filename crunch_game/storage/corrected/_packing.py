"""Converts corrections, what they replaced and published boards to columns, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from crunch_game.storage import _codec as codec
from crunch_game.storage._corrections import Change, Correction, FormerScore, PublishedBoard
from crunch_game.storage._records import ScoredRound
from crunch_game.storage._values import decode_object


class PackedCorrection(NamedTuple):
    """A correction. The first two columns identify it."""

    moment: int
    writer: str
    verb: str
    by: str
    reason: str
    model_id: str | None
    key: str | None
    since: int | None
    until: int | None


class PackedFormer(NamedTuple):
    """What a correction replaced. The first four columns identify it; `existed` is 0 if there was no score."""

    number: int
    at: int
    key: str
    model_id: str
    resolves_at: int
    existed: int
    value: float | None
    outcome: str | None
    reason: str | None
    kind: str | None
    metrics: str | None


class PackedPublished(NamedTuple):
    """A board as it was published. The first two columns identify it."""

    moment: int
    board: str
    at: int
    document: str
    correction: int


class PackedAmendment(NamedTuple):
    """What a part of a correction changes.

    Attributes:
        former: What is replaced.
        gone: The identities of scores that are replaced by none.
        scores: What is kept instead.
        rounds: The rounds.
        notes: Name and document of the note, if there is one.
    """

    former: list[PackedFormer]
    gone: list[tuple[int, str, str]]
    scores: list[codec.PackedScore]
    rounds: list[codec.PackedRound]
    notes: list[tuple[str, str]]


def pack_correction(correction: Correction) -> PackedCorrection:
    """Return the columns of a correction."""
    return PackedCorrection(
        codec.microseconds(correction.moment),
        codec.name(correction.writer),
        codec.name(correction.verb),
        codec.prose(correction.by) or "",
        codec.prose(correction.reason) or "",
        None if correction.model_id is None else codec.name(correction.model_id),
        None if correction.key is None else codec.name(correction.key),
        codec.microseconds_if_any(correction.since),
        codec.microseconds_if_any(correction.until),
    )


def pack_amendment(
    number: int,
    changes: Sequence[Change],
    rounds: Sequence[ScoredRound],
    note: tuple[str, Mapping[str, Any]] | None,
) -> PackedAmendment:
    """Return the columns of all that a part of a correction changes."""
    former, gone, scores = [], [], []
    for before, after in changes:
        old = None if before is None else codec.pack_score(before)
        new = None if after is None else codec.pack_score(after)
        if either := new or old:
            former.append(_pack_former(number, either, old))
        if new is not None:
            scores.append(new)
        elif old is not None:
            gone.append(old[:3])
    notes = [] if note is None else [(codec.name(note[0]), codec.pack_document(*note))]
    return PackedAmendment(former, gone, scores, [codec.pack_round(each) for each in rounds], notes)


def _pack_former(number: int, of: codec.PackedScore, score: codec.PackedScore | None) -> PackedFormer:
    rest = (0, *[None] * 5) if score is None else (1, *score[4:])
    return PackedFormer(number, *of[:4], *rest)


def pack_published(published: PublishedBoard) -> PackedPublished:
    """Return the columns of a published board."""
    return PackedPublished(
        codec.microseconds(published.moment),
        codec.name(published.board),
        codec.microseconds(published.at),
        codec.pack_document(published.board, published.document),
        published.correction,
    )


def unpack_correction(packed: Sequence[Any]) -> Correction:
    """Return the correction of these columns."""
    moment, writer, verb, by, reason, model_id, key, since, until = packed
    scope = codec.moment_if_any(since), codec.moment_if_any(until)
    return Correction(codec.moment(moment), writer, verb, by, reason, model_id, key, *scope)


def unpack_former(packed: Sequence[Any]) -> FormerScore:
    """Return what was replaced, of these columns."""
    number, at, key, model_id, resolves_at, existed, *rest = packed
    score = codec.unpack_score((at, key, model_id, resolves_at, *rest)) if existed else None
    return FormerScore(number, model_id, key, codec.moment(at), codec.moment(resolves_at), score)


def unpack_published(packed: Sequence[Any]) -> PublishedBoard:
    """Return the published board of these columns."""
    moment, board, at, document, correction = packed
    return PublishedBoard(codec.moment(moment), board, codec.moment(at), decode_object(document), correction)


def cleaned(record: Correction | FormerScore | PublishedBoard) -> Correction | FormerScore | PublishedBoard:
    """Return a record as any store would."""
    match record:
        case Correction():
            return unpack_correction(pack_correction(record))
        case PublishedBoard():
            return unpack_published(pack_published(record))
        case FormerScore(number, model_id, key, at, resolves_at, score):
            score = None if score is None else codec.unpack_score(codec.pack_score(score))
            moments = codec.moment(codec.microseconds(at)), codec.moment(codec.microseconds(resolves_at))
            return FormerScore(number, codec.name(model_id), codec.name(key), *moments, score)
