"""One model of an orchestrator: its code, the node that serves it, and what coordinators are told of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from msgspec.structs import replace

from crunch_game.crunchdao.announcements import Announced
from crunch_game.crunchdao.frames import RunState
from crunch_game.crunchdao.node import ModelNode
from crunch_game.models import Submission
from crunch_game.policy import restart_delay

__all__ = ["Deployment", "Stage", "announced"]

_STEADY = 60.0
"""Seconds of life after which an end counts as the first again."""


class Stage(StrEnum):
    """Where a model stands."""

    RUNNING = "running"
    RECOVERING = "recovering"
    STOPPED = "stopped"  # it may come back as it is
    QUARANTINED = "quarantined"  # it comes back with new code only


@dataclass
class Deployment:
    """One version of one model.

    Attributes:
        submission: Its code; None when its node is somebody else's.
        announcement: What coordinators were told last.
        node: Serves it, unless that is somebody else's, or it is stopped.
        stage: Where it stands.
        words: What happened to it last, for people.
        ends: How often its instance ended by itself lately.
        since: Seconds on the clock at which it began to run.
    """

    submission: Submission | None
    announcement: Announced
    node: ModelNode | None
    stage: Stage = Stage.RUNNING
    words: str = ""
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
        """Count an end of its instance; the seconds to wait before it runs again."""
        now = time.monotonic()
        self.ends = 1 if now - self.since >= _STEADY else self.ends + 1
        return restart_delay(self.ends)

    def rename(self, submission: Submission, infos: dict[str, Any] | None) -> Announced:
        """The same code has other names; what coordinators are to be told."""
        self.submission = submission
        self.announcement = replace(self.announcement, infos=infos)
        return self.announcement

    def run(self, port: int) -> Announced:
        """It runs behind that port; what coordinators are to be told."""
        self.stage, self.since = Stage.RUNNING, time.monotonic()
        self.announcement = replace(self.announcement, state=RunState.RUNNING, port=port)
        return self.announcement

    def recover(self) -> Announced:
        """It is away for a while; what coordinators are to be told."""
        self.stage = Stage.RECOVERING
        self.announcement = replace(self.announcement, state=RunState.RECOVERING)
        return self.announcement


def announced(submission: Submission, ip: str, port: int) -> Announced:
    """A submission that runs there, in the words of the network; its `info` may say whose it is."""
    name = submission.name or submission.id
    infos: dict[str, str | None] = {"model_name": name, "cruncher_id": submission.id, "cruncher_name": name}
    infos |= {"cruncher_wallet_pubkey": None, "cruncher_hotkey": None}
    return Announced(
        deployment_id=submission.deployment_id,
        model_id=submission.id,
        state=RunState.RUNNING,
        ip=ip,
        port=port,
        infos={key: submission.info.get(key, value) for key, value in infos.items()},
    )
