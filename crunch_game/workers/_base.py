"""What the workers share: `Standings`, listeners that cannot end a game, the choice of a feed, and a store's owner."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import field
from datetime import datetime
from typing import Any

import anyio

from crunch_game._public import record
from crunch_game._quantities import described
from crunch_game.errors import StoreUnavailable, UsageError
from crunch_game.events import TROUBLE, GameEvent, StoreAway, StoreBack
from crunch_game.feeds.base import FEED_TROUBLE, Feed, FeedEvent
from crunch_game.game import Game, checked_feed
from crunch_game.hosts import InlineHost
from crunch_game.hosts.base import Host
from crunch_game.models import HostLike
from crunch_game.ranking import BoardNote, Standing
from crunch_game.rosters.base import Roster
from crunch_game.runner import Models, roster_of
from crunch_game.storage import MemoryStore
from crunch_game.storage.base import Store


@record
class Standings:
    """The boards at a time on the game's clock.

    Attributes:
        at: The time; aware, UTC.
        standings: Those on the first board, best first.
        boards: Those on every board, by its name.
    """

    at: datetime
    standings: Sequence[Standing]
    boards: Mapping[str, Sequence[Standing]] = field(default_factory=dict)


Event = GameEvent | FeedEvent | Standings | BoardNote
Listener = Callable[[Event], Any]

logger = logging.getLogger("crunch_game")
_PAUSES = (0.5, 10.0)
"""Seconds between two tries to read a store that is away: at first, and at most."""
_LOGGED = (*TROUBLE, *FEED_TROUBLE, BoardNote)


def safely(listener: Listener | None, *, unlogged: tuple[type, ...] = ()) -> Listener:
    """Wrap a listener so that its errors are logged, and do not stop the game. Without one, trouble is logged.

    Args:
        listener: The author's.
        unlogged: Events that are no trouble here.
    """

    def tell(event: Event) -> None:
        if listener is None:
            if isinstance(event, _LOGGED) and not isinstance(event, unlogged):
                logger.warning("%s", event)
            return
        try:
            listener(event)
        except Exception:
            logger.exception("on_event raised for %r; the game goes on", event)

    return tell


class Absence:
    """A store that is away for a while, as who reads and scores it meets it: told once, and asked again and again.

    Args:
        tell: Called with StoreAway, and with StoreBack once it is back.
    """

    def __init__(self, tell: Listener) -> None:
        self._tell = tell
        self._since: float | None = None
        self._pause = 0.0

    def noted(self, error: StoreUnavailable) -> float:
        """The store is away. Returns after how many seconds it is to be asked again."""
        if self._since is None:
            self._since = time.monotonic()
            self._pause = _PAUSES[0]
            self._tell(StoreAway(str(error)))
        pause, self._pause = self._pause, min(2 * self._pause, _PAUSES[1])
        return pause

    def over(self) -> None:
        """The store has answered."""
        if self._since is not None:
            self._tell(StoreBack(time.monotonic() - self._since))
            self._since = None


def feed_of(game: Game, feed: Feed | None) -> Feed:
    if not isinstance(game, Game):
        raise UsageError(f"the game is {described(game)}; give a Game")
    chosen = game.feed if feed is None else checked_feed(feed)
    if chosen is None:
        raise UsageError(f"the game {game.name} has no feed of its own; give one, for example a replay of history")
    return chosen


def roster_and_host(game: Game, models: Models, host: Host | HostLike | None) -> tuple[Roster, Host | HostLike]:
    """Who plays, and where: on the host that is given, else the one that their roster needs, else the game's.

    "process" is the game's own host, where that is one of processes: it may say more than the word.
    """
    roster = roster_of(models)
    if host is None:
        return roster, roster.host() or game.host or "process"
    stated = game.host if not isinstance(game.host, str | InlineHost) else None
    return roster, stated or "process" if host == "process" else host


def store_of(store: Store | None) -> Store:
    """The store, or a new one in memory."""
    given: Any = store
    if isinstance(given, str):
        raise UsageError("store is text; open what it names: store=open_store(...)")  # there may be a password in it
    if isinstance(given, type):
        raise UsageError(f"store is {described(given)}; give an instance: store={given.__name__}(...)")
    return MemoryStore() if store is None else store


def claim(store: Store, name: str) -> None:
    """Mark the store as this game's.

    Raises:
        UsageError: It is another game's.
    """
    owner = store.noted("game")
    if owner is None:
        store.note("game", {"name": name})
    elif owner["name"] != name:
        raise UsageError(f"the store keeps the game {owner['name']!r}, not {name!r}; give each game a store of its own")


@asynccontextmanager
async def beside(function: Callable[[], Coroutine[Any, Any, Any]], *, ends: bool = False) -> AsyncIterator[None]:
    """Run the function until the body ends. Exceptions of either are raised as they are, not in a group.

    Args:
        function: What is run.
        ends: Whether its end, too, ends the body.
    """
    try:
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                await function()
                if ends:
                    tasks.cancel_scope.cancel()

            tasks.start_soon(run)
            yield
            tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        inner: BaseException = group
        # A group of one is an artefact of the task group; callers catch GameError and FeedError.
        while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
            inner = inner.exceptions[0]
        raise inner from None
