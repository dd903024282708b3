"""Publishing: keeps boards as they were shown, at whole hours and around corrections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from crunch_game.storage.base import PublishedBoard, Store

LEADERBOARD: Final = "leaderboard"
"""The note that has the boards as they are shown."""

_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Publishing:
    """Publishes the boards that are noted: what people could see is what can be asked for later.

    Args:
        store: Where they are noted. One that keeps no corrections keeps no published boards either.
        every: By the wall clock; None for never. A game over history is over before much is published.
        clock: Returns the time; aware, UTC.
    """

    def __init__(self, store: Store, every: timedelta | None, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._every = every if getattr(store, "keeps_corrections", False) else None
        self._clock = clock
        self._last = self._number(clock())

    def noted(self, correction: int) -> None:
        """Boards have just been noted: publish them if a whole hour, or whatever it is, has begun since the last time.

        Args:
            correction: The number of the last correction that they include.
        """
        if (number := self._number(self._clock())) > self._last:
            self._last = number
            self.now(correction)

    def now(self, correction: int) -> None:
        """Publish the boards that are noted, unless they are published already."""
        note = None if self._every is None else self._store.noted(LEADERBOARD)
        if note is None or "boards" not in note:
            return
        before = self._store.published()
        at = datetime.fromisoformat(note["at"])
        if before and before[0].at == at and {each.board: each.document for each in before} == note["boards"]:
            return
        moment = self._clock()
        documents: Mapping[str, Mapping[str, Any]] = note["boards"]
        self._store.publish(
            [PublishedBoard(moment, name, at, document, correction) for name, document in documents.items()]
        )

    def _number(self, moment: datetime) -> int:
        """How many times it was to be published before."""
        return 0 if self._every is None else (moment - _FIRST) // self._every
