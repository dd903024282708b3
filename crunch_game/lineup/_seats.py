"""A model's place in the game: the instance that plays, and the fresh one that is being introduced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import anyio

from crunch_game.hosts.base import Instance
from crunch_game.models import Model, Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Cause, Health, Step, Strikes, Trigger


class Player:
    """Somebody who can be asked: an instance, and the health that its answers change.

    Attributes:
        seat: The place in the game that it has, or that it is meant for.
        model: What the author sees of whoever has that place.
        instance: What is asked; None while there is none.
    """

    seat: Seat

    def __init__(self, model: Model, record: Model, instance: Instance | None = None) -> None:
        self.model = model
        self.instance = instance
        self._record = record  # has the health and the deployment of this player, which need not be those of `model`

    @property
    def health(self) -> Health:
        """Where it stands."""
        return self._record.health

    @property
    def deployment_id(self) -> str:
        """The version of the code that its instance runs."""
        return self._record.deployment_id

    def take(
        self, trigger: Trigger, now: float, reason: str | None = None, strikes: Mapping[str, Strikes] | None = None
    ) -> Step:
        """Go where the policy's table says; the arguments are those of `Health.after`. Nothing else writes a health."""
        self._record.health, step = self._record.health.after(trigger, now, reason, strikes)
        return step


class Seat(Player):
    """A model's place in the game, whichever instance sits there. Its health is what the author sees."""

    def __init__(self, submission: Submission, now: float) -> None:
        model = Model(submission, now)
        super().__init__(model, record=model)
        self.seat = self
        self.submission = submission
        """What the roster last said: newer than what plays, while new code is being loaded."""
        self.loading: anyio.CancelScope | None = None
        self.losses = 0
        """How often in a row the connection was lost before a fresh instance played."""
        self.unloaded: str | None = None
        """Why what the roster last said could not be loaded, if so; older code may play on."""
        self.unreached = False
        """Whether it is out of the game because it could not be reached: it is tried again where it moves."""


class Fresh(Player):
    """An instance that is loaded but does not play yet: `on_join` may ask it, and nobody else.

    Its health is its own until it takes over, since the instance that it replaces may still play.
    """

    def __init__(self, seat: Seat, submission: Submission, instance: Instance, now: float) -> None:
        super().__init__(seat.model, Model(submission, now), instance)
        self.seat = seat
        self.fault: Fault | None = None
        """What ended it, or took it out of the game, before it played."""
        self.lost = False
        """Whether a call, the connection or the instance was lost, and with it what `on_join` told."""
        same_code = seat.deployment_id == submission.deployment_id
        self.entrance = Trigger.LOADED if same_code else Trigger.REDEPLOYED
        """What will happen to the seat when it takes over."""
        self.take(Trigger.LOADED, now, strikes=seat.health.strikes if same_code else None)

    def take(
        self, trigger: Trigger, now: float, reason: str | None = None, strikes: Mapping[str, Strikes] | None = None
    ) -> Step:
        """As Player.take. Whatever got lost on the way has left a hole in the history that it was told."""
        if trigger in (Trigger.UNREACHED, Trigger.LOST, Trigger.FORGOTTEN):
            self.lost = True
        return super().take(trigger, now, reason, strikes)


class Verdict(NamedTuple):
    """What a round leaves for the lineup to do about one player.

    `trigger` is what still has to happen to it; None when the table has been asked, and its new state is to be enacted.
    """

    player: Player
    trigger: Trigger | None
    fault: Fault | None
    reason: str | None = None
    cause: Cause | None = None
