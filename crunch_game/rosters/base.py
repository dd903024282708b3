"""What a roster is: it says which models are in the game, and reports joins and leaves as they happen."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol, runtime_checkable

from crunch_game.events import RosterFound, RosterLost
from crunch_game.hosts.base import Host
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Cause
from crunch_game.public import public

__all__ = ["RemoteRoster", "Roster"]


@public
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


@public
@runtime_checkable
class RemoteRoster(Roster, Protocol):
    """A roster that others keep: it can be lost, and it wants to know which of its models are out of the game."""

    def listen(self, tell: Callable[[RosterLost | RosterFound], None]) -> None:
        """Tell when it is lost and found from now on."""
        ...

    def stopped(self, submission: Submission, cause: Cause, reason: str, fault: Fault | None) -> None:
        """Hear that a deployment does not play any more, or never did. What is the game's fault is not told."""
        ...
