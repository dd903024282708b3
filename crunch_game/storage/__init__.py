"""Where a game is kept: in memory, or in a database; names are resolved on first use, so that importing is light."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from crunch_game.errors import StoreError

if TYPE_CHECKING:
    from crunch_game.storage.base import ModelRecord, Prediction, Score, Store
    from crunch_game.storage.memory import MemoryStore
    from crunch_game.storage.sql import SQLStore

__all__ = ["MemoryStore", "ModelRecord", "Prediction", "SQLStore", "Score", "Store", "open_store"]

_HOMES = {
    "MemoryStore": "memory",
    "ModelRecord": "base",
    "Prediction": "base",
    "SQLStore": "sql",
    "Score": "base",
    "Store": "base",
}


def open_store(url: str, *, create: bool = True) -> Store:
    """The store that a URL names.

    Args:
        url: "memory:" (kept until the process ends), "sqlite:///game.db" (a file beside the working
            directory) or "sqlite:////var/lib/game.db" (an absolute path).
        create: Make the file if it is missing. With False a missing or empty file is an error and nothing
            is written: what a command wants that only reads.

    Raises:
        StoreError: No such kind of store, or it cannot be opened.
    """
    if url in ("memory:", "memory://"):
        if not create:
            raise StoreError('a "memory:" store is always empty when it is opened; name a file: "sqlite:///game.db"')
        from crunch_game.storage.memory import MemoryStore

        return MemoryStore()
    from crunch_game.storage.sql import SQLStore

    return SQLStore(url, create=create)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
