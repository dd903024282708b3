"""What the author's base class promises: its methods, their parameters and their types.

Both sides of the fork read it; values are checked on the coordinator's side only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.contract._checking import Mismatch as Mismatch
    from crunch_game.contract._contract import Contract as Contract
    from crunch_game.contract._fitting import ByName as ByName
    from crunch_game.contract._fitting import Fit as Fit
    from crunch_game.contract._method import Method as Method
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
