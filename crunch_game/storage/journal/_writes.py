"""One write of a worker that plays: what a call of `Store.save` is given, and how it is written as bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from crunch_game.feeds.base import Row
from crunch_game.storage import _codec as codec
from crunch_game.storage._log import GameLog
from crunch_game.storage.base import ModelRecord, Prediction, Session, Store
from crunch_game.storage.logged import pack_log, unpack_deployment, unpack_event, unpack_fault


@dataclass(frozen=True)
class Write:
    """What one call of `Store.save` keeps; the fields are its parameters."""

    rows: Sequence[Row] = ()
    predictions: Sequence[Prediction] = ()
    models: Sequence[ModelRecord] = ()
    aside: Sequence[tuple[Row, str]] = ()
    session: Session | None = None
    log: GameLog | None = None

    def __bool__(self) -> bool:
        return bool(self.rows or self.predictions or self.models or self.aside or self.session or self.log)

    @property
    def size(self) -> int:
        """How many rows and answers it has."""
        return len(self.rows) + len(self.aside) + len(self.predictions)

    def into(self, store: Store) -> None:
        """Have a store keep it."""
        # An author's own store, for replays, may know nothing of the first two, and any that it keeps a log.
        more: dict[str, Any] = {}
        if self.aside or self.session is not None:
            more |= {"aside": self.aside, "session": self.session}
        if self.log:
            more["log"] = self.log
        store.save(self.rows, self.predictions, self.models, **more)

    def packed(self) -> bytes:
        """Return it as bytes.

        Raises:
            StoreError: A record of it cannot be kept, in whatever store.
        """
        columns = (
            codec.pack_rows(self.rows, (), None),
            [codec.pack_prediction(each) for each in self.predictions],
            [codec.pack_model(each) for each in self.models],
            codec.pack_rows((), self.aside, None),
            None if self.session is None else codec.pack_session(self.session),
            pack_log(self.log),
        )
        return msgspec.msgpack.encode(columns)

    @classmethod
    def unpacked(cls, data: bytes) -> Write:
        """Return the write of these bytes: its records are as a store would return them."""
        rows, predictions, models, aside, session, (events, faults, deployments) = msgspec.msgpack.decode(data)
        log = GameLog(
            [*map(unpack_event, events)], [*map(unpack_fault, faults)], [*map(unpack_deployment, deployments)]
        )
        refused = [codec.unpack_arrival(each) for each in aside]
        return cls(
            [*map(codec.unpack_row, rows)],
            [*map(codec.unpack_prediction, predictions)],
            [ModelRecord(*each) for each in models],
            [(each.row, each.aside or "") for each in refused],
            None if session is None else codec.unpack_session(session),
            log or None,
        )
