"""Who wants to know what happens to deployments, and what they are told: one Protocol, and a frozen record for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from crunch_game.hosts.base import Call
from crunch_game.lineup._seats import Player
from crunch_game.models import Submission
from crunch_game.outcomes import Fault, Outcome
from crunch_game.policy import Cause

__all__ = [
    "DeploymentAway",
    "DeploymentFailed",
    "DeploymentJoined",
    "DeploymentLeft",
    "DeploymentPlays",
    "DeploymentStopped",
    "News",
    "Observer",
]


@dataclass(frozen=True, slots=True)
class DeploymentJoined:
    """A model is new in the roster, and is being loaded for the first time."""

    submission: Submission


@dataclass(frozen=True, slots=True)
class DeploymentPlays:
    """A fresh instance has begun to play."""

    submission: Submission


@dataclass(frozen=True, slots=True)
class DeploymentFailed:
    """It could not be loaded. `cause` is None when not the submission but the game's own `on_join` failed."""

    submission: Submission
    fault: Fault
    cause: Cause | None


@dataclass(frozen=True, slots=True)
class DeploymentAway:
    """Its roster says that it cannot be reached for now; if it was being loaded, that is not gone on with."""

    submission: Submission


@dataclass(frozen=True, slots=True)
class DeploymentStopped:
    """It is out of the game. `cause` is None when that is not to be told to anyone who keeps the roster."""

    submission: Submission
    reason: str
    fault: Fault | None
    cause: Cause | None


@dataclass(frozen=True, slots=True)
class DeploymentLeft:
    """The roster has the model no more."""

    submission: Submission


News = DeploymentJoined | DeploymentPlays | DeploymentFailed | DeploymentAway | DeploymentStopped | DeploymentLeft


class Observer(Protocol):
    """Is told on the event loop, while it happens, and awaited by nobody: it must be quick, and raise nothing.

    Subclass it to hear only some of it.
    """

    def hear(self, news: News) -> None:
        """Something happened to a deployment."""

    def follow(
        self, call: Call, players: Mapping[Player, Mapping[str, Any] | None]
    ) -> Callable[[Sequence[Outcome]], None] | None:
        """A round begins; what it gives is called with the outcomes as they come. None costs the round nothing.

        Args:
            call: What is asked.
            players: Who is asked, with the further arguments of each. They are as they stood before the round.
        """
        return None
