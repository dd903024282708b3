"""From the scores of rounds to places: boards, and the standings on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.ranking._copies import Copy as Copy
    from crunch_game.ranking._copies import find_copies as find_copies
    from crunch_game.ranking._leaderboard import Leaderboard as Leaderboard
    from crunch_game.ranking._leaderboard import Missing as Missing
    from crunch_game.ranking._leaderboard import Standing as Standing
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
