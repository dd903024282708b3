"""The store that a URL names."""

from __future__ import annotations

from crunch_game._public import public
from crunch_game.errors import StoreError
from crunch_game.storage.base import Store


@public
def open_store(url: str, *, create: bool = True) -> Store:
    """Open the store of a URL.

    Args:
        url: "memory:" (kept until the process ends), "sqlite:///game.db" (a file in the working directory) or
            "sqlite:////var/lib/game.db" (an absolute path).
        create: Create the file if it is missing, and bring it up to date if an earlier version wrote it. With False,
            either is an error, and so is an empty file; nothing is written: for commands that only read.

    Raises:
        StoreError: The URL is not of a store, or it cannot be opened.
    """
    if url in ("memory:", "memory://"):
        if not create:
            raise StoreError('a "memory:" store is always empty when it is opened; name a file: "sqlite:///game.db"')
        from crunch_game.storage._memory import MemoryStore

        return MemoryStore()
    from crunch_game.storage.sql import SQLStore

    return SQLStore(url, create=create)
