"""What is kept of a game: in memory, or in a database.

`base` has the Protocol to implement for any other place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.storage._corrections import Correction as Correction
    from crunch_game.storage._corrections import FormerScore as FormerScore
    from crunch_game.storage._corrections import PublishedBoard as PublishedBoard
    from crunch_game.storage._documents import as_document as as_document
    from crunch_game.storage._documents import from_document as from_document
    from crunch_game.storage._log import DeploymentRecord as DeploymentRecord
    from crunch_game.storage._log import EventRecord as EventRecord
    from crunch_game.storage._log import FaultRecord as FaultRecord
    from crunch_game.storage._log import GameLog as GameLog
    from crunch_game.storage._memory import MemoryStore as MemoryStore
    from crunch_game.storage._open import open_store as open_store
    from crunch_game.storage._pruning import PRUNED as PRUNED
    from crunch_game.storage._pruning import PruneBounds as PruneBounds
    from crunch_game.storage._pruning import pruned_before as pruned_before
    from crunch_game.storage._values import encode as encode
    from crunch_game.storage.base import Arrival as Arrival
    from crunch_game.storage.base import KeptScore as KeptScore
    from crunch_game.storage.base import Lease as Lease
    from crunch_game.storage.base import ModelRecord as ModelRecord
    from crunch_game.storage.base import Prediction as Prediction
    from crunch_game.storage.base import Score as Score
    from crunch_game.storage.base import ScoredRound as ScoredRound
    from crunch_game.storage.base import Session as Session
    from crunch_game.storage.base import Store as Store
    from crunch_game.storage.exporting import Exported as Exported
    from crunch_game.storage.exporting import export as export
    from crunch_game.storage.sql import SQLStore as SQLStore
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
