"""From the scores of rounds to places: boards, and the standings on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.ranking._board import DEFAULT_WINDOWS as DEFAULT_WINDOWS
    from crunch_game.ranking._board import Board as Board
    from crunch_game.ranking._board import Last as Last
    from crunch_game.ranking._board import Metric as Metric
    from crunch_game.ranking._board import Missing as Missing
    from crunch_game.ranking._board import RoundInfo as RoundInfo
    from crunch_game.ranking._boards import Boards as Boards
    from crunch_game.ranking._rounds import BoardNote as BoardNote
    from crunch_game.ranking._rounds import BoardRound as BoardRound
    from crunch_game.ranking._rounds import RoundFacts as RoundFacts
    from crunch_game.ranking._shown import legend as legend
    from crunch_game.ranking._shown import shown as shown
    from crunch_game.ranking._standing import Standing as Standing
    from crunch_game.ranking._standing import noted_standings as noted_standings
    from crunch_game.ranking.copies import Copy as Copy
    from crunch_game.ranking.copies import find_copies as find_copies
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
