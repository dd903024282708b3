"""Boards of a time that is past, by what is in force now; and how boards are written down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from crunch_game._public import public
from crunch_game.errors import GameError
from crunch_game.game import Game
from crunch_game.ranking import Standing, legend
from crunch_game.storage.base import Store
from crunch_game.workers.settling import InForce, KeptBoards


@public
def standings_at(game: Game, store: Store, at: datetime) -> dict[str, list[Standing]]:
    """Return a game's boards as they stood at a time of the past, all corrections that are carried out included.

    A round stands in them from the end of its horizon on, though its truth may have been known later. Nothing is
    written.

    Args:
        game: The game, as it is now: its boards, metrics and benchmarks.
        store: Where it is, or was, played.
        at: The time on the game's clock; aware.

    Raises:
        GameError: The time is naive, or one of the author's functions raises for a round.
    """
    if at.tzinfo is None:
        raise GameError(f"the time {at} is naive; give an aware one, such as datetime(..., tzinfo=UTC)")

    def failed(slot: datetime, error: BaseException) -> None:
        raise GameError(f"a board of {game.name} failed for the round of {slot:%Y-%m-%d %H:%M} UTC") from error

    in_force = InForce(each for _, each in store.corrections()) if store.keeps_corrections else InForce()
    boards = KeptBoards(game, store, failed, lambda note: None, lambda: in_force)
    boards.load(at)
    return boards.standings(at, states={})


def board_documents(game: Game, standings: Mapping[str, Sequence[Standing]]) -> dict[str, dict[str, Any]]:
    """Return each board with what it is ranked by, of types that JSON has."""
    found = {}
    for board in game.boards:
        said = {"rank_by": board.rank_by, "by": board.by, "legend": legend(board, game.metrics)}
        found[board.name] = {**said, "leaderboard": [asdict(each) for each in standings[board.name]]}
    return found
