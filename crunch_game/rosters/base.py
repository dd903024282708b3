"""What a roster is: it says which models are in the game, and reports joins and leaves as they happen."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from crunch_game.hosts.base import Host
from crunch_game.models import Submission

__all__ = ["Roster"]


class Roster(Protocol):
    """Who is in the game. Implement this to take the models from elsewhere."""

    def follow(self) -> AsyncGenerator[Mapping[str, Submission]]:
        """The whole roster by model id: once at the start, then again whenever it has changed.

        The runner compares each with the one before: an id that is new joins, one that is gone leaves, and one
        with another `deployment_id` is redeployed. When the iterator ends, the roster stays as it is.
        """
        ...

    def host(self) -> Host | None:
        """The host that its models run in, or None when any will do."""
        ...
