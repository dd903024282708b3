"""A model's place in the game: the instance that plays, and the fresh one that is being introduced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import anyio

from crunch_game.hosts.base import Instance
from crunch_game.models import Model, Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Cause, Event, Health, Step, Strikes

__all__ = ["Fresh", "Player", "Seat", "Verdict"]


class Player:
    """Somebody who can be asked: an instance, and the health that its answers change.

    Args:
        model: What the author sees of it.
        record: Where its health and its deployment are kept.
    """

    def __init__(self, model: Model, record: Model) -> None:
        self.model = model
        self.instance: Instance | None = None
        self.fault: Fault | None = None
        """The last fault that changed its state."""
        self._record = record

    @property
    def health(self) -> Health:
        """Where it stands."""
        return self._record.health

    @property
    def deployment_id(self) -> str:
        """The version of the code that its instance runs."""
        return self._record.deployment_id

    @property
    def seat(self) -> Seat:
        """The model's place in the game, which the player has or is going to have."""
        raise NotImplementedError

    def take(
        self, event: Event, now: float, reason: str | None = None, strikes: Mapping[str, Strikes] | None = None
    ) -> Step:
        """Go where the policy's table says; the arguments are those of `Health.after`. Nothing else writes a health."""
        self._record.health, step = self._record.health.after(event, now, reason, strikes)
        return step


class Seat(Player):
    """A model's place in the game, whichever instance sits there. Its health is what the author sees."""

    def __init__(self, submission: Submission, now: float) -> None:
        model = Model(submission, now)
        super().__init__(model, record=model)
        self.submission = submission
        """What the roster last said: newer than what plays, while new code is being loaded."""
        self.loading: anyio.CancelScope | None = None
        self.losses = 0
        """How often in a row the connection was lost before a fresh instance played."""

    @property
    def seat(self) -> Seat:
        """Itself."""
        return self


class Fresh(Player):
    """An instance that is loaded but does not play yet: `on_join` may ask it, and nobody else.

    Its health is its own until it takes over, since the instance that it replaces may still play.
    """

    def __init__(self, seat: Seat, submission: Submission, instance: Instance, now: float) -> None:
        super().__init__(seat.model, record=Model(submission, now))
        self.instance = instance
        self.lost = False
        """Whether a call, the connection or the instance was lost, and with it what `on_join` told."""
        self._seat = seat
        self.entrance = Event.LOADED if seat.deployment_id == submission.deployment_id else Event.REDEPLOYED
        """What will happen to the seat when it takes over."""
        same_code = self.entrance is Event.LOADED
        super().take(Event.LOADED, now, strikes=seat.health.strikes if same_code else None)

    @property
    def seat(self) -> Seat:
        """The place that it is meant for."""
        return self._seat

    def take(
        self, event: Event, now: float, reason: str | None = None, strikes: Mapping[str, Strikes] | None = None
    ) -> Step:
        """As Player.take. Whatever got lost on the way has left a hole in the history that it was told."""
        if event in (Event.UNREACHED, Event.LOST, Event.FORGOTTEN):
            self.lost = True
        return super().take(event, now, reason, strikes)


class Verdict(NamedTuple):
    """What a round leaves for the lineup to do about one player.

    `event` is what still has to happen to it; None when the table has been asked, and its new state is to be enacted.
    """

    player: Player
    event: Event | None
    fault: Fault | None
    reason: str | None = None
    cause: Cause | None = None
