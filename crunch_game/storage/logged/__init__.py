"""How logs are kept: as columns, the same in memory and in the tables of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.storage.logged._memory import MemoryLog as MemoryLog
    from crunch_game.storage.logged._packing import PackedDeployment as PackedDeployment
    from crunch_game.storage.logged._packing import PackedEvent as PackedEvent
    from crunch_game.storage.logged._packing import PackedFault as PackedFault
    from crunch_game.storage.logged._packing import cleaned as cleaned
    from crunch_game.storage.logged._packing import pack_log as pack_log
    from crunch_game.storage.logged._packing import unpack_deployment as unpack_deployment
    from crunch_game.storage.logged._packing import unpack_event as unpack_event
    from crunch_game.storage.logged._packing import unpack_fault as unpack_fault
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
