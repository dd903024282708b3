"""Roster, the protocol of what says which models are in the game."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol, runtime_checkable

from crunch_game._public import public
from crunch_game.events import RosterFound, RosterLost
from crunch_game.hosts.base import Host
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Cause

__all__ = ["RemoteRoster", "Roster"]


@public
class Roster(Protocol):
    """The models of the game. Implement this to take them from somewhere else."""

    def follow(self) -> AsyncGenerator[Mapping[str, Submission]]:
        """Yield all models by id: at the start, and again after every change.

        The runner compares each mapping with the one before: a new id joins, a missing one leaves, and one with another
        `deployment_id` is redeployed. When the iterator ends, the roster no longer changes.
        """
        ...

    def host(self) -> Host | None:
        """Return the host that its models need; None, as here, if any will do."""
        return None


@public
@runtime_checkable
class RemoteRoster(Roster, Protocol):
    """A roster on another machine: the connection to it can be lost, and it is told which models are stopped."""

    def listen(self, tell: Callable[[RosterLost | RosterFound], None]) -> None:
        """Call `tell` whenever the roster is lost or found from now on."""
        ...

    def started(self, submission: Submission) -> None:
        """Take note that a deployment is loaded, if again, then afresh: what was said of it before holds no longer."""
        ...

    def stopped(self, submission: Submission, cause: Cause, reason: str, fault: Fault | None) -> None:
        """Take note that a deployment was stopped or could not be loaded. Not called for faults of the game."""
        ...
