"""What people ask of a running game's models, through its store: that one is stopped, or readmitted."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from anyio.to_thread import run_sync as in_thread

from crunch_game.errors import UnknownModel
from crunch_game.runner import ModelRunner
from crunch_game.storage.base import Store

HANDLED: Final = "handled by predict"
"""The note that says which correction the worker has carried out last, as `{"number": 7}`."""
_VERBS: Final = ("stop", "readmit")

logger = logging.getLogger("crunch_game")


class Wishes:
    """Carries out the corrections of a store that concern who plays: of each model the newest, once.

    That one was carried out is noted after the models' states are kept: so a kill in between forgets none, and what is
    carried out again is what is so already.

    Args:
        store: Where they are. One that keeps no corrections has none.
        runner: The models.
        keep: Stores the states of the models.
    """

    def __init__(self, store: Store, runner: ModelRunner, keep: Callable[[], Awaitable[object]]) -> None:
        self._store: Any = store
        self._keeps: bool = getattr(store, "keeps_corrections", False)
        self._runner = runner
        self._keep = keep
        self._done: int | None = None
        self._noted = 0
        """What the note says."""

    async def readmitted(self) -> frozenset[str]:
        """The models that were stopped when the last worker ended, and that are asked to play again.

        To be called at the start, before they are stopped again.
        """
        newest = _newest(await in_thread(self._new))
        return frozenset(model_id for model_id, (verb, _) in newest.items() if verb == "readmit")

    async def look(self, *, starting: bool = False) -> None:
        """Carry out what is new.

        Args:
            starting: Whether the models have only just been loaded: then those that are readmitted play already.
        """
        new = await in_thread(self._new)
        for model_id, (verb, reason) in _newest(new).items():
            if verb == "stop" or not starting:
                await self._carry_out(verb, model_id, reason)
        self._done = max((number for number, _ in new), default=self._done)
        if self._done is not None and self._done > self._noted:
            await self._keep()
            await in_thread(self._store.note, HANDLED, {"number": self._done})
            self._noted = self._done

    async def _carry_out(self, verb: str, model_id: str, reason: str) -> None:
        try:
            if verb == "stop":
                await self._runner.stop(model_id, reason)
            else:
                await self._runner.readmit(model_id)
        except UnknownModel as error:
            logger.warning("somebody has asked to %s a model: %s", verb, error)

    def _new(self) -> Sequence[tuple[int, Any]]:
        """Those that are not carried out."""
        if not self._keeps:
            return ()
        if self._done is None:
            self._done = self._noted = int((self._store.noted(HANDLED) or {}).get("number", 0))
        found: Sequence[tuple[int, Any]] = self._store.corrections(self._done)
        return found


def _newest(corrections: Sequence[tuple[int, Any]]) -> Mapping[str, tuple[str, str]]:
    """What was asked of each model last, and why."""
    return {each.model_id: (each.verb, each.reason) for _, each in corrections if each.verb in _VERBS}
