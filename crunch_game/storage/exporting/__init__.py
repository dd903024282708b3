"""What is kept of a game as tables: as DataFrames of pandas and polars, and as files.

Nothing here knows a store's records but by the names of their fields, since `storage.base` has `Streams` from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.storage.exporting._columns import Column as Column
    from crunch_game.storage.exporting._columns import model_columns as model_columns
    from crunch_game.storage.exporting._files import FORMATS as FORMATS
    from crunch_game.storage.exporting._files import Exported as Exported
    from crunch_game.storage.exporting._files import export as export
    from crunch_game.storage.exporting._frames import frame as frame
    from crunch_game.storage.exporting._streams import Library as Library
    from crunch_game.storage.exporting._streams import Streams as Streams
    from crunch_game.storage.exporting._streams import What as What
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
