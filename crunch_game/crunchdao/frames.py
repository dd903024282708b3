"""What an orchestrator sends to coordinators, and what they may report: the frames of the WebSocket."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from crunch_game.crunchdao.announcements import Announced

__all__ = ["CONNECTION_FAILED", "Report", "Reported", "RunState", "Told", "gone"]

CONNECTION_FAILED: Final = "CONNECTION_FAILED"
"""The one failure that puts a model in no quarantine."""


class RunState(StrEnum):
    """What becomes of a deployment. RUNNING means that its process lives, not that its node listens yet."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    RECOVERING = "RECOVERING"


class Told(msgspec.Struct, frozen=True):
    """A frame to a coordinator: `init` is the whole truth, and `update` what has changed."""

    event: Literal["init", "update"]
    data: list[Announced]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One model that a coordinator gave up; `model_id` and `ip` must be as they were announced."""

    model_id: str
    failure_code: str
    failure_reason: str | None = None
    ip: str


class Reported(msgspec.Struct, frozen=True):
    """A frame from a coordinator."""

    event: Literal["report_failure"]
    data: list[Report]


def gone(announced: Announced) -> tuple[Announced, Announced]:
    """The two frames that a stop arrives in; the second tells an address that is none."""
    stopped = replace(announced, state=RunState.STOPPED)
    return stopped, replace(stopped, ip="localhost", port=0)
