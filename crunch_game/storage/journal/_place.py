"""Where the journal of a store is, and what tells its store from every other one."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path
from typing import Final

from crunch_game.storage._memory import MemoryStore
from crunch_game.storage.base import Store
from crunch_game.storage.journal._journal import Journal

_NOTE: Final = "journal"


def identified(store: Store) -> str:
    """Return what identifies a store; it is made up, and noted in it, for the first worker that plays live on it."""
    noted = store.noted(_NOTE)
    if noted is None:
        noted = {"id": uuid.uuid4().hex}
        store.note(_NOTE, noted)
    return str(noted["id"])


def journal_of(store: Store, game: str, folder: Path | None, *, live: bool) -> Journal | None:
    """Return the journal of a store that a worker is about to play on; None if it needs none.

    Args:
        store: The store, which can be read and written now.
        game: The game's name.
        folder: Where the file is, or would be; by default `crunch-game` in the user's folder for state.
        live: Whether a live game is played; a replay needs only what a live game has left.
    """
    if isinstance(store, MemoryStore) or not (live or store.noted(_NOTE)):
        return None
    identity = identified(store)
    place = folder or _default()
    name = re.sub(r"[^\w.-]+", "-", game)[:60]
    return Journal(None if place is None else place / f"{name}-{identity[:12]}.journal", identity, game)


def _default() -> Path | None:
    """Return the folder for what programs keep of a user's, as freedesktop.org has it; None if the user has none."""
    if given := os.environ.get("XDG_STATE_HOME"):
        return Path(given) / "crunch-game"
    try:
        return Path.home() / ".local" / "state" / "crunch-game"
    except RuntimeError:
        return None
