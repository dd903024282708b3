"""Corrections in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, ClassVar

from crunch_game.storage import _codec as codec
from crunch_game.storage._corrections import Change, Correction, FormerScore, KeepsCorrections, PublishedBoard
from crunch_game.storage._records import ScoredRound
from crunch_game.storage._timeline import Identity
from crunch_game.storage.corrected._packing import (
    PackedCorrection,
    PackedFormer,
    PackedPublished,
    pack_amendment,
    pack_correction,
    pack_published,
    unpack_correction,
    unpack_former,
    unpack_published,
)


class MemoryCorrections:
    """The corrections of a MemoryStore, which guards them."""

    def __init__(self) -> None:
        self._corrections: list[PackedCorrection] = []
        """The number of each is one more than its place."""
        self._former: dict[tuple[int, int, str, str], PackedFormer] = {}
        self._published: dict[tuple[int, str], PackedPublished] = {}

    def correct(self, new: PackedCorrection) -> int:
        """Append it, unless it is there; return its number."""
        for number, each in enumerate(self._corrections, 1):
            if each[:2] == new[:2]:
                return number
        self._corrections.append(new)
        return len(self._corrections)

    def corrections(self, after: int) -> list[tuple[int, Correction]]:
        """Return those with larger numbers."""
        start = max(after, 0)
        return [(number, unpack_correction(each)) for number, each in enumerate(self._corrections[start:], start + 1)]

    def replace(self, former: Sequence[PackedFormer]) -> None:
        """Keep what is replaced, if it is not there."""
        for each in former:
            self._former.setdefault(each[:4], each)

    def former_scores(self, number: int | None, model_id: str | None) -> list[FormerScore]:
        """Return what was replaced, by number, `at`, `key` and model."""
        found = (self._former[each] for each in sorted(self._former) if number in (None, each[0]))
        return [unpack_former(each) for each in found if model_id in (None, each.model_id)]

    def forget(self, before: int, most: int | None) -> int:
        """Forget what was replaced of rounds that resolve before a time, so many at most; return how many."""
        old = sorted((each.resolves_at, number) for number, each in self._former.items() if each.resolves_at < before)
        for _, number in old[:most]:
            del self._former[number]
        return len(old[:most])

    def publish(self, boards: Sequence[PackedPublished]) -> None:
        """Keep boards that are not there."""
        for each in boards:
            self._published.setdefault(each[:2], each)

    def published(self, moment: datetime | None, at: datetime | None) -> list[PublishedBoard]:
        """Return those that were published together, last of all."""
        fits = [
            (each.moment if at is None else each.at, each.moment)
            for each in self._published.values()
            if (moment is None or each.moment <= codec.microseconds(moment))
            and (at is None or each.at <= codec.microseconds(at))
        ]
        last = max(fits, default=(0, None))[1]
        found = sorted(each for each in self._published.values() if each.moment == last)
        return [unpack_published(each) for each in found]


class CorrectedInMemory(KeepsCorrections):
    """The part of a MemoryStore that keeps corrections."""

    keeps_corrections: ClassVar[bool] = True
    _corrections: MemoryCorrections
    _notes: dict[str, str]

    def _open(self) -> AbstractContextManager[Any]:
        raise NotImplementedError

    def _keep_round(self, scored: codec.PackedRound) -> None:
        raise NotImplementedError

    def _keep_score(self, score: codec.PackedScore) -> None:
        raise NotImplementedError

    def _drop_score(self, identity: Identity) -> None:
        raise NotImplementedError

    def correct(self, correction: Correction) -> int:
        """Append a correction; returns its number."""
        packed = pack_correction(correction)
        with self._open():
            return self._corrections.correct(packed)

    def corrections(self, after: int = 0) -> list[tuple[int, Correction]]:
        """Return the corrections with larger numbers than this, in their order."""
        with self._open():
            return self._corrections.corrections(after)

    def amend(
        self,
        number: int,
        changes: Sequence[Change],
        rounds: Sequence[ScoredRound] = (),
        *,
        note: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Replace scores by what a correction makes of them, and keep what they were; all at once, or nothing."""
        packed = pack_amendment(number, changes, rounds, note)
        with self._open():
            self._corrections.replace(packed.former)
            for identity in [*packed.gone, *(each[:3] for each in packed.scores)]:
                self._drop_score(identity)
            for score in packed.scores:
                self._keep_score(score)
            for scored in packed.rounds:
                self._keep_round(scored)
            self._notes.update(packed.notes)

    def former_scores(self, number: int | None = None, *, model_id: str | None = None) -> list[FormerScore]:
        """Return what corrections have replaced, by number, `at`, `key` and model."""
        with self._open():
            return self._corrections.former_scores(number, model_id)

    def publish(self, boards: Sequence[PublishedBoard]) -> None:
        """Keep boards as they are shown from now on."""
        packed = [pack_published(each) for each in boards]
        with self._open():
            self._corrections.publish(packed)

    def published(self, moment: datetime | None = None, *, at: datetime | None = None) -> list[PublishedBoard]:
        """Return the boards that were published together, last of all; sorted by name."""
        with self._open():
            return self._corrections.published(moment, at)
