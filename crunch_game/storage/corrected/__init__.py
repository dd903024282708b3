"""How corrections, what they replaced and published boards are kept: as columns, alike in memory and in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.storage.corrected._memory import CorrectedInMemory as CorrectedInMemory
    from crunch_game.storage.corrected._memory import MemoryCorrections as MemoryCorrections
    from crunch_game.storage.corrected._packing import PackedAmendment as PackedAmendment
    from crunch_game.storage.corrected._packing import PackedCorrection as PackedCorrection
    from crunch_game.storage.corrected._packing import PackedFormer as PackedFormer
    from crunch_game.storage.corrected._packing import PackedPublished as PackedPublished
    from crunch_game.storage.corrected._packing import cleaned as cleaned
    from crunch_game.storage.corrected._packing import pack_amendment as pack_amendment
    from crunch_game.storage.corrected._packing import pack_correction as pack_correction
    from crunch_game.storage.corrected._packing import pack_published as pack_published
    from crunch_game.storage.corrected._packing import unpack_correction as unpack_correction
    from crunch_game.storage.corrected._packing import unpack_former as unpack_former
    from crunch_game.storage.corrected._packing import unpack_published as unpack_published
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
