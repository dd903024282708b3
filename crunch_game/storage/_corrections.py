"""What people correct of a game, what that replaced, and published boards; and what a store does with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from crunch_game._public import record
from crunch_game.errors import StoreError
from crunch_game.storage._records import Score, ScoredRound

Verb: TypeAlias = Literal["void", "retract", "restore", "resolve", "rescore", "stop", "readmit", "prune"]


@record
class Correction:
    """Something that a person asks of a game's workers. It is identified by `(moment, writer)`, and never changed.

    Attributes:
        moment: When it was asked for, by the wall clock; aware, UTC.
        writer: A word that was made up by who wrote it.
        verb: "void": the rounds count for nobody. "retract": a model's answers count as absences. "restore": takes
            back what was voided, or retracted of a model. "resolve": outcomes are asked for again. "rescore": the rule
            is asked again. "stop", "readmit": a model stops playing, or plays again. "prune": old records are deleted.
        by: The person.
        reason: Why.
        model_id: Whom "retract", "stop" and "readmit" are about; the model that "restore" gives its answers back.
        key: Only rounds of this prediction; None for all.
        since: Only rounds with this slot or a later one, on the game's clock; aware, UTC.
        until: Only rounds with an earlier slot.
    """

    moment: datetime
    writer: str
    verb: str
    by: str
    reason: str
    model_id: str | None = None
    key: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def covers(self, key: str, at: datetime) -> bool:
        """Whether a round is one of those that it is about."""
        in_time = (self.since is None or at >= self.since) and (self.until is None or at < self.until)
        return in_time and self.key in (None, key)


@record
class FormerScore:
    """What a correction has replaced. `(number, model_id, key, at)` identifies it.

    Attributes:
        number: That of the correction.
        model_id: The model's id.
        key: The name of the prediction.
        at: The slot; aware, UTC.
        resolves_at: When its horizon ended; aware, UTC.
        score: The record as it was; None if there was none.
    """

    number: int
    model_id: str
    key: str
    at: datetime
    resolves_at: datetime
    score: Score | None = None


@record
class PublishedBoard:
    """A board as people could see it from a moment on. `(moment, board)` identifies it.

    Attributes:
        moment: When it was published, by the wall clock; aware, UTC.
        board: The board's name.
        at: The time that it is of, on the game's clock; aware, UTC.
        document: The standings, with what the board is ranked by; of types that JSON has.
        correction: The number of the last correction that it includes; 0 if there was none.
    """

    moment: datetime
    board: str
    at: datetime
    document: Mapping[str, Any]
    correction: int = 0


Change: TypeAlias = tuple[Score | None, Score | None]
"""A score as it was and as it is from now on; of the same prediction. None: there was none, or there is none."""


class KeepsCorrections(Protocol):
    """What a store does with corrections. One that does not say `keeps_corrections` takes none.

    Attributes:
        keeps_corrections: Whether all of these methods do what they say.
    """

    keeps_corrections: ClassVar[bool] = False

    def correct(self, correction: Correction) -> int:
        """Append a correction.

        Returns:
            Its number, above 0 and greater than those before; the number that it has, if it is there already.
        """
        raise self._keeps_none()

    def corrections(self, after: int = 0) -> list[tuple[int, Correction]]:
        """Return the corrections with larger numbers than this, in their order."""
        return []

    def amend(
        self,
        number: int,
        changes: Sequence[Change],
        rounds: Sequence[ScoredRound] = (),
        *,
        note: tuple[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Replace scores by what a correction makes of them, and keep what they were; all at once, or nothing.

        Args:
            number: That of the correction. What it is told to replace a second time is not kept a second time.
            changes: What is replaced, and by what.
            rounds: The rounds; each replaces what was kept of it before.
            note: A note that is kept together with this: how far the correction is carried out.
        """
        raise self._keeps_none()

    def former_scores(self, number: int | None = None, *, model_id: str | None = None) -> list[FormerScore]:
        """Return what corrections have replaced, by number, `at`, `key` and model.

        Args:
            number: Only what this correction has replaced.
            model_id: Only what is of this model.
        """
        return []

    def publish(self, boards: Sequence[PublishedBoard]) -> None:
        """Keep boards as they are shown from now on."""
        raise self._keeps_none()

    def published(self, moment: datetime | None = None, *, at: datetime | None = None) -> list[PublishedBoard]:
        """Return the boards that were published together, last of all; sorted by name.

        Args:
            moment: Of those that were published at this moment, by the wall clock, or before.
            at: Of those that are of this time, on the game's clock, or an earlier one: of the latest time, and of that
                the last that was published.
        """
        return []

    def _keeps_none(self) -> StoreError:
        return StoreError(f"{type(self).__name__} keeps no corrections; SQLStore and MemoryStore do")
