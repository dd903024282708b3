"""One deployment of a development orchestrator: its code, its node, and its announcement."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec.structs import replace

from crunch_game.crunchdao.node import ModelNode
from crunch_game.crunchdao.protocol import Announced, RunState
from crunch_game.models import Submission
from crunch_game.policy import restart_delay

_STABLE_SECONDS = 60.0
"""After running this long, the next end of an instance is restarted as soon as the first."""


class Stage(StrEnum):
    """The stage of a deployment."""

    RUNNING = "running"
    RECOVERING = "recovering"
    STOPPED = "stopped"  # the same code may be served again
    QUARANTINED = "quarantined"  # only new code, or `readmit`, is served again


@dataclass
class Deployment:
    """One version of one model.

    Attributes:
        submission: Its code; None if its node is not one of ours.
        announcement: What coordinators were last told.
        node: Its node; None if it is stopped, or its node is not one of ours.
        stage: Whether it runs.
        last_note: The last thing that happened to it, in a sentence.
        ends: How often in succession its instance ended by itself.
        since: When it began to run, on the monotonic clock.
    """

    submission: Submission | None
    announcement: Announced
    node: ModelNode | None
    stage: Stage = Stage.RUNNING
    last_note: str = ""
    ends: int = 0
    since: float = field(default_factory=time.monotonic)

    @property
    def id(self) -> str:
        """The model's id."""
        return self.announcement.model_id

    @property
    def deployment_id(self) -> str:
        """The version of the code."""
        return self.announcement.deployment_id

    def ended(self) -> float:
        """Count an end of its instance, and return the seconds to wait before the next one."""
        now = time.monotonic()
        self.ends = 1 if now - self.since >= _STABLE_SECONDS else self.ends + 1
        return restart_delay(self.ends)

    def run(self, port: int) -> Announced:
        """Become RUNNING at that port, and return the announcement."""
        self.stage, self.since = Stage.RUNNING, time.monotonic()
        self.announcement = replace(self.announcement, state=RunState.RUNNING, port=port)
        return self.announcement

    def recover(self) -> Announced:
        """Become RECOVERING, and return the announcement."""
        self.stage = Stage.RECOVERING
        self.announcement = replace(self.announcement, state=RunState.RECOVERING)
        return self.announcement
