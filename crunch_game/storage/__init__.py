"""Stores: where a game is kept. Names are imported on first use, since sqlalchemy takes long to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game.errors import StoreError
from crunch_game.public import lazy_face, public

if TYPE_CHECKING:
    from crunch_game.storage.base import ModelRecord as ModelRecord
    from crunch_game.storage.base import Prediction as Prediction
    from crunch_game.storage.base import Score as Score
    from crunch_game.storage.base import Store as Store
    from crunch_game.storage.memory import MemoryStore as MemoryStore
    from crunch_game.storage.sql import SQLStore as SQLStore
else:
    __getattr__, __dir__, _elsewhere = lazy_face(
        __name__, {"base": "ModelRecord Prediction Score Store", "memory": "MemoryStore", "sql": "SQLStore"}
    )
    __all__ = sorted([*_elsewhere, "open_store"])


@public
def open_store(url: str, *, create: bool = True) -> Store:
    """Open the store of a URL.

    Args:
        url: "memory:" (kept until the process ends), "sqlite:///game.db" (a file in the working directory) or
            "sqlite:////var/lib/game.db" (an absolute path).
        create: Create the file if it is missing. With False, a missing or empty file is an error, and nothing is
            written: for commands that only read.

    Raises:
        StoreError: The URL is not of a store, or it cannot be opened.
    """
    if url in ("memory:", "memory://"):
        if not create:
            raise StoreError('a "memory:" store is always empty when it is opened; name a file: "sqlite:///game.db"')
        from crunch_game.storage.memory import MemoryStore

        return MemoryStore()
    from crunch_game.storage.sql import SQLStore

    return SQLStore(url, create=create)
