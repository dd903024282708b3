"""Who else wants to know what happens to models and in rounds: one Protocol, and one record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from crunch_game.hosts.base import Call
from crunch_game.lineup._seats import Player
from crunch_game.models import Submission
from crunch_game.outcomes import Fault, Outcome
from crunch_game.policy import Cause, State


@dataclass(frozen=True, slots=True)
class News:
    """What has become of a deployment, which need not be the one that plays.

    Attributes:
        submission: The deployment.
        state: JOINING when its model is new in the roster or, out of the game, gets another try, READY when it begins
            to play, FAILED when it could not be loaded, UNREACHABLE when its roster says that it is
            away, STOPPED or LEFT.
        fault: What was wrong, of one that FAILED, or that is STOPPED for it.
        reason: Why, of one that is STOPPED.
        cause: Whose doing it was; None when it is not to be told to whoever keeps the roster.
    """

    submission: Submission
    state: State
    fault: Fault | None = None
    reason: str = ""
    cause: Cause | None = None


class Observer(Protocol):
    """Is told on the event loop, while it happens: it must be quick, and raise nothing."""

    def hear(self, news: News) -> None:
        """Something happened to a deployment."""

    def follow(
        self, call: Call, players: Mapping[Player, Mapping[str, Any] | None]
    ) -> Callable[[Sequence[Outcome]], None] | None:
        """A round begins; what this returns is called with the outcomes as they come. None costs the round nothing.

        Args:
            call: What is asked.
            players: Who is asked, as they stand before the round, with the further keyword arguments of each.
        """
        return None
