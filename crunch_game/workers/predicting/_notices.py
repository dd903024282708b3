"""What others leave in the store for the worker that asks models: the score worker its standings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import anyio
from anyio.to_thread import run_sync as in_thread

from crunch_game.ranking import Standing, noted_standings
from crunch_game.storage.base import Store

_INTERVAL: Final = 1.0
"""Seconds between two looks."""

logger = logging.getLogger("crunch_game")


class Notices:
    """Looks into the store about once a second, on a thread: no round waits for it.

    A store that cannot be read for a while is told of once; what was read last stays.

    Args:
        store: Where it is left.
        ranked: Whether standings are wanted.
    """

    def __init__(self, store: Store, *, ranked: bool) -> None:
        self._store = store
        self._ranked = ranked
        self._standings: Mapping[str, Standing] = {}
        self._is_away = False

    def standing_of(self, model_id: str) -> Standing | None:
        """A model's standing on the first board, as the score worker noted it last; None if it has none there."""
        return self._standings.get(model_id)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while self._ranked:
            await anyio.sleep(_INTERVAL)
            await self.look()

    async def look(self) -> None:
        """Look once."""
        if self._ranked:
            await in_thread(self._read)

    def _read(self) -> None:
        try:
            document = self._store.noted("leaderboard")
            if document is not None:
                first = noted_standings(document.get("leaderboard", ()))
                self._standings = {standing.model_id: standing for standing in first}
        except Exception as error:  # noqa: BLE001 - the store may be an author's own, and the game goes on
            if not self._is_away:
                logger.warning("the standings cannot be read for now, so models keep those that they had: %s", error)
            self._is_away = True
        else:
            self._is_away = False
