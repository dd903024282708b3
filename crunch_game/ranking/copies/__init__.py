"""Who answers as another does: answers as numbers that can be compared, and whose are near, round after round."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.ranking.copies._copies import Copy as Copy
    from crunch_game.ranking.copies._copies import find_copies as find_copies
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
