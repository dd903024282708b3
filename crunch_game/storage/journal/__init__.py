"""What a store could not take waits here, in its order, until the store can: on disk, else in memory, and bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.storage.journal._journal import Journal as Journal
    from crunch_game.storage.journal._place import identified as identified
    from crunch_game.storage.journal._place import journal_of as journal_of
    from crunch_game.storage.journal._writes import Write as Write
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
