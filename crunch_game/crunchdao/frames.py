"""What an orchestrator and a coordinator say to each other over the WebSocket: models announced, failures reported."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

__all__ = [
    "FAILURE_CODES",
    "NOWHERE",
    "Announced",
    "Announcement",
    "Infos",
    "Report",
    "Reported",
    "RunState",
    "gone",
]


class RunState(StrEnum):
    """What becomes of a deployment. RUNNING means that its process lives, not that its node listens yet."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    RECOVERING = "RECOVERING"


class Infos(msgspec.Struct, frozen=True, kw_only=True):
    """Whose model it is; the wallet and the hotkey are what a secured node is held against."""

    model_name: str | None = None
    cruncher_id: str | None = None
    cruncher_name: str | None = None
    cruncher_wallet_pubkey: str | None = None
    cruncher_hotkey: str | None = None


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment of one model, and where its node is. The port may be text; it is 0 after a stop."""

    deployment_id: str
    model_id: str
    infos: Infos | None = None
    state: str
    ip: str
    port: int | str


class Announced(msgspec.Struct, frozen=True):
    """A frame to a coordinator: `init` is the whole truth, and `update` what has changed."""

    event: Literal["init", "update"]
    data: list[Announcement]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One model that a coordinator gave up; `model_id` and `ip` must be as they were announced."""

    model_id: str
    failure_code: str
    failure_reason: str | None = None
    ip: str


class Reported(msgspec.Struct, frozen=True):
    """A frame from a coordinator. One unmatched report drops the rest of its frame: send one in each."""

    event: Literal["report_failure"]
    data: list[Report]


FAILURE_CODES = ("CONNECTION_FAILED", "BAD_IMPLEMENTATION", "MULTIPLE_TIMEOUT", "MULTIPLE_FAILED", "LOW_PERFORMANCE")
"""Why a model is stopped. All but the first put it in quarantine."""

NOWHERE = ("localhost", 0)
"""The address that the second frame of a stop tells."""


def gone(announcement: Announcement) -> tuple[Announcement, Announcement]:
    """The two frames that a stop arrives in."""
    stopped = msgspec.structs.replace(announcement, state=RunState.STOPPED)
    return stopped, msgspec.structs.replace(stopped, ip=NOWHERE[0], port=NOWHERE[1])
