"""A store in a SQLite file or a PostgreSQL database: its tables, what is asked of them, and where the two differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.storage.sql._store import SQLStore as SQLStore
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
