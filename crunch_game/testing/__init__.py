"""What games and this package are tested with: a CrunchDAO network that fails when a test says so.

It runs in the test's own process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.testing._network import SimulatedNetwork as SimulatedNetwork
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
