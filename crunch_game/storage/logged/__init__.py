"""How logs are kept: as columns, in memory or in the tables of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.storage.logged._memory import MemoryLog as MemoryLog
    from crunch_game.storage.logged._packing import cleaned as cleaned
    from crunch_game.storage.logged._packing import pack_log as pack_log
    from crunch_game.storage.logged._sql import SQLLog as SQLLog
    from crunch_game.storage.logged._sql import inserts as inserts
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
