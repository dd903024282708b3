"""Streams, the part of the Store protocol that reads records one by one, and makes tables of them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias

What: TypeAlias = Literal["predictions", "scores", "rows", "rounds", "models"]
Library: TypeAlias = Literal["pandas", "polars"]


class Streams(Protocol):
    """What a store does for exports. A store that can read without having all in memory has its own `stream`."""

    def stream(
        self,
        what: str,
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        model_id: str | None = None,
        key: str | None = None,
    ) -> Iterator[Any]:
        """Yield the records of one kind, oldest first; rows as they arrived.

        Args:
            what: "predictions" (Prediction), "scores" (Score), "rows" (Arrival), "rounds" (ScoredRound) or "models"
                (ModelRecord).
            since: Only those that resolve at or after this; of rows, those whose time is that. Models are of no time.
            until: Only those before this.
            model_id: Only those of this model. Rows and rounds are of none.
            key: Only those of this key. Rows and models are of none.
        """
        from crunch_game.storage.exporting._columns import columns_of  # here, so that `storage.base` is light

        columns_of(what)
        this: Any = self
        if what == "models":
            yield from (each for each in this.models() if model_id in (None, each.model_id))
        elif what == "rows":
            yield from (each for _, each in this.arrivals() if _within(each.row.time, since, until))
        elif what == "rounds":
            found = (scored for scored, _ in this.rounds(since))
            yield from (each for each in found if _within(each.resolves_at, None, until) and key in (None, each.key))
        else:
            all_of = this.predictions if what == "predictions" else this.scores
            found = all_of(since, model_id=model_id)
            yield from (each for each in found if _within(each.resolves_at, None, until) and key in (None, each.key))

    def to_frame(
        self,
        what: What = "predictions",
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        model_id: str | None = None,
        key: str | None = None,
        library: Library = "pandas",
    ) -> Any:
        """Return what is kept as a DataFrame; docs/storage.md says what its columns are.

        Args:
            what: "predictions", each with its score; "scores", "rows", "rounds" or "models".
            since: Only what resolves at or after this; of rows, those whose time is that.
            until: Only what resolves before this.
            model_id: Only what is of this model.
            key: Only what is of this key.
            library: "pandas" or "polars".

        Raises:
            UsageError: There is nothing of that name, or it is of no model or key and one is asked for.
            MissingExtra: The extra `tables` is not installed.
        """
        from crunch_game.storage.exporting._columns import cells_of, columns_of
        from crunch_game.storage.exporting._frames import frame

        return frame(columns_of(what), cells_of(self.stream, what, since, until, model_id=model_id, key=key), library)


def _within(time: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or time >= since) and (until is None or time < until)
