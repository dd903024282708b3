"""What a store does to delete old records, and which those may be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from crunch_game._public import record
from crunch_game.errors import StoreError
from crunch_game.storage._records import Arrival

MOST = 2_000
"""So many records are deleted in one transaction, if they are not of one moment."""

PRUNED = "pruned"
"""The note of what was deleted: `rounds` and `rows` are the times before which nothing need be there."""


@record
class PruneBounds:
    """Which records are old enough to be deleted.

    Never deleted are models, deployments, sessions, notes, corrections and published boards; nor what is known of the
    first and last rounds of all: `first_rounds`, `first_answers` and `last_rounds` say the same afterwards.

    Attributes:
        rounds: Of rounds that resolve before this: predictions that are not pending, scores, and what corrections have
            replaced. The rounds themselves too, if they resolve a horizon before it, but for the last `past` of each
            key, and the last `past` of those that have at least three answers: others are measured by them. And the
            faults of calls before it whose prediction is not kept. None: nothing of these. Aware, UTC.
        rows: Rows whose time is before this, those set aside too. None: no rows.
        log: Events whose moment is before this. None: no events.
        past: Rounds of each key.
    """

    rounds: datetime | None = None
    rows: datetime | None = None
    log: datetime | None = None
    past: int = 512


class Prunes(Protocol):
    """What a store does to delete old records. One that does not say `prunes` keeps all for ever.

    Attributes:
        prunes: Whether `prune` and `prunable` do what they say.
    """

    prunes: ClassVar[bool] = False

    def prune(self, bounds: PruneBounds, *, most: int = MOST) -> Mapping[str, int]:
        """Delete some of what is old, the oldest first, in one transaction. Whoever calls it goes on until it is empty.

        Args:
            bounds: What is old.
            most: About so many records; more where that many are of one moment.

        Returns:
            How many were deleted, by kind: "predictions", "scores", "rounds", "former_scores", "faults", "rows" or
            "events"; empty if nothing was left.
        """
        raise self._prunes_nothing()

    def prunable(self, bounds: PruneBounds) -> Mapping[str, int]:
        """Return how many records of each kind `prune` would delete until nothing is left."""
        raise self._prunes_nothing()

    def give_back(self, most: int = MOST) -> int:
        """Give some of the space of what was deleted back to the file system.

        Args:
            most: About so many kilobytes.

        Returns:
            How many bytes; 0 if there are none left, or the store uses them again by itself.
        """
        return 0

    def noted(self, name: str) -> dict[str, Any] | None:
        """Return the document of a note."""
        raise NotImplementedError

    def arriving(self, after: int = 0) -> Iterator[tuple[int, Arrival]]:
        """Yield the rows as they arrived."""
        raise NotImplementedError

    def looked_up_from(self, moment: datetime, history: timedelta) -> tuple[int, datetime] | None:
        """Return which rows `resolve` may look up for what resolves at a moment or later.

        When a row comes, `resolve` sees what is `history` older than the newest row before it, and the last row before
        that.

        Returns:
            The least number of these rows, as `arrivals` has it, and the time of the oldest. None if it may look up the
            first row of all.

        Args:
            moment: Aware, UTC.
            history: The game's.
        """
        before: list[tuple[int, datetime]] = []
        for number, arrival in self.arriving():
            if arrival.aside is None:
                if arrival.row.time >= moment:
                    break
                before.append((number, arrival.row.time))
        bound = max((time for _, time in before), default=moment) - history
        oldest = max((time for _, time in before if time <= bound), default=None)
        return None if oldest is None else (min(number for number, time in before if time >= oldest), oldest)

    def _prunes_nothing(self) -> StoreError:
        return StoreError(f"{type(self).__name__} deletes nothing; SQLStore and MemoryStore do")


def pruned_before(store: Prunes) -> datetime | None:
    """Return the time before which rounds may be gone, and their scores; None if none are."""
    noted = (store.noted(PRUNED) or {}).get("rounds")
    return datetime.fromisoformat(noted) if isinstance(noted, str) else None
