"""Rows of data: replayed from a history, or polled from an endpoint; both are cleaned in one place.

`base` has the Protocol to implement for any other source of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crunch_game._public import lazy_face

if TYPE_CHECKING:
    from crunch_game.feeds._cleaning import Cleaner as Cleaner
    from crunch_game.feeds._cleaning import cleaned as cleaned
    from crunch_game.feeds._history import History as History
    from crunch_game.feeds._polling import Backoff as Backoff
    from crunch_game.feeds._polling import PollingFeed as PollingFeed
    from crunch_game.feeds._replay import Recording as Recording
    from crunch_game.feeds._replay import ReplayFeed as ReplayFeed
    from crunch_game.feeds._standstill import Standstill as Standstill
    from crunch_game.feeds.base import Feed as Feed
    from crunch_game.feeds.base import FeedGap as FeedGap
    from crunch_game.feeds.base import FeedMoves as FeedMoves
    from crunch_game.feeds.base import FeedStands as FeedStands
    from crunch_game.feeds.base import FeedTrouble as FeedTrouble
    from crunch_game.feeds.base import Row as Row
    from crunch_game.feeds.base import RowDropped as RowDropped
    from crunch_game.feeds.base import RowKept as RowKept
    from crunch_game.feeds.base import ValueDropped as ValueDropped
else:
    __getattr__, __dir__, __all__ = lazy_face(__name__)
