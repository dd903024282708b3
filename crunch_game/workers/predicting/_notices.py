"""What others leave in the store for the worker that asks models: a score worker its standings, people requests."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import anyio
from anyio.to_thread import run_sync as in_thread

from crunch_game.ranking import Standing, noted_standings
from crunch_game.storage.base import Store

_INTERVAL: Final = 1.0
"""Seconds between two looks."""

logger = logging.getLogger("crunch_game")


class Notices:
    """Looks into the store about once a second, beside the rounds: none waits for it.

    A store that cannot be read for a while is told of once; what was read last stays.

    Args:
        store: Where it is left.
        ranked: Whether standings are wanted.
        wishes: Carries out what people ask for.
    """

    def __init__(self, store: Store, *, ranked: bool, wishes: Callable[[], Awaitable[object]]) -> None:
        self._store = store
        self._ranked = ranked
        self._wishes = wishes
        self._standings: Mapping[str, Standing] = {}
        self._is_away = False

    def standing_of(self, model_id: str) -> Standing | None:
        """A model's standing on the first board, as the score worker noted it last; None if it has none there."""
        return self._standings.get(model_id)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await anyio.sleep(_INTERVAL)
            await self.look()

    async def look(self) -> None:
        """Look once."""
        try:
            await self._wishes()
            if self._ranked:
                await in_thread(self._read)
        except Exception as error:  # noqa: BLE001 - the store may be an author's own, and the game goes on
            if not self._is_away:
                logger.warning("what others leave in the store cannot be read for now: %s", error)
            self._is_away = True
        else:
            self._is_away = False

    def _read(self) -> None:
        document = self._store.noted("leaderboard")
        if document is not None:
            first = noted_standings(document.get("leaderboard", ()))
            self._standings = {standing.model_id: standing for standing in first}
