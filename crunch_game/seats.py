"""A model's place in the game: the instance that plays, and the fresh one that is being introduced."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

import anyio

from crunch_game.hosts.base import Instance
from crunch_game.models import Model, Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Health

__all__ = ["Fresh", "Player", "Seat", "onboarding"]


class Player(Protocol):
    """One instance that can be asked, and the health that its answers change."""

    model: Model
    instance: Instance | None
    health: Health
    slate: int
    """Grows when the strikes are wiped off: calls from before count no more."""

    @property
    def deployment_id(self) -> str:
        """The version of the code that the instance runs."""
        ...


class Seat:
    """A model's place in the game, whoever sits there: the instance that plays, and the one being loaded."""

    def __init__(self, submission: Submission, now: float) -> None:
        self.model = Model(submission, now)
        self.submission = submission
        self.instance: Instance | None = None
        self.loading: anyio.CancelScope | None = None
        self.fault: Fault | None = None
        self.slate = 0
        self.losses = 0
        """How often in a row the connection was lost before a fresh instance played."""

    @property
    def deployment_id(self) -> str:
        """The version of the code that plays."""
        return self.model.deployment_id

    @property
    def health(self) -> Health:
        """The model's health."""
        return self.model.health

    @health.setter
    def health(self, health: Health) -> None:
        self.model.health = health


class Fresh:
    """An instance that is loaded but does not play yet: `on_join` may ask it, and nobody else."""

    def __init__(self, seat: Seat, submission: Submission, instance: Instance, health: Health) -> None:
        self.model = seat.model
        self.submission = submission
        self.instance: Instance | None = instance
        self.health = health
        self.fault: Fault | None = None
        self.slate = 0
        self.lost = False
        """Whether a call, its connection or the instance was lost, and with it what `on_join` told it."""

    @property
    def deployment_id(self) -> str:
        """The version of its code."""
        return self.submission.deployment_id


onboarding: ContextVar[Fresh | None] = ContextVar("onboarding", default=None)
"""The fresh instance whose `on_join` this code runs in."""
