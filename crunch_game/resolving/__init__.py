"""From rows to the truth: ready functions for `Game(resolve=...)`, and how one says that the truth will never be known.

`base` has Never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.resolving._counts import Count as Count
    from crunch_game.resolving._paths import Path as Path
    from crunch_game.resolving._prices import Change as Change
    from crunch_game.resolving._prices import Price as Price
    from crunch_game.resolving._prices import Return as Return
    from crunch_game.resolving.base import Never as Never
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
