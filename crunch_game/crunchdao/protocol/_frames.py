"""The frames of an orchestrator's WebSocket: it announces deployments, and coordinators report failures."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from crunch_game.faults import shortened
from crunch_game.models import Submission

CONNECTION_FAILED: Final = "CONNECTION_FAILED"
"""The only failure code for which the orchestrator does not quarantine a model."""


class RunState(StrEnum):
    """The state of a deployment. RUNNING means that its process lives; its node may not be listening yet."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    RECOVERING = "RECOVERING"


class Announced(msgspec.Struct, frozen=True):
    """One deployment, as the orchestrator announces it."""

    deployment_id: str
    model_id: str
    state: str
    ip: str | None = None
    port: int | str | None = None
    infos: dict[str, Any] | None = None

    @property
    def submission(self) -> Submission:
        """The submission whose source is the address of the deployment's node."""
        infos = self.infos or {}
        host = f"[{self.ip}]" if self.ip and ":" in self.ip else self.ip
        return Submission(
            id=self.model_id,
            source=f"{host}:{self.port}",
            deployment_id=self.deployment_id,
            name=shortened(str(infos.get("model_name") or "")),
            info=infos,
            away=self.state == RunState.RECOVERING,
        )


def stop_announcements(announced: Announced) -> tuple[Announced, Announced]:
    """Return the two announcements of a stop. CrunchDAO's orchestrator sends both, the second with a dummy address."""
    stopped = replace(announced, state=RunState.STOPPED)
    return stopped, replace(stopped, ip="localhost", port=0)


class AnnouncementFrame(msgspec.Struct, frozen=True):
    """From an orchestrator: `init` lists all deployments that run, `update` those that have changed."""

    event: Literal["init", "update"]
    data: list[Announced]


class IncomingFrame(msgspec.Struct, frozen=True):
    """An `AnnouncementFrame`, or an error, read leniently: announcements that can be read are not lost with others."""

    event: str | None = None
    data: list[msgspec.Raw] = []
    error: str | None = None

    @classmethod
    def read(cls, message: str | bytes) -> IncomingFrame:
        """Read one message of the WebSocket.

        Raises:
            MsgspecError: It is not such a frame.
        """
        return _frames.decode(message)

    def announced(self, on_unreadable: Callable[[str], None]) -> list[Announced]:
        """Return the announcements that can be read, and call `on_unreadable` for each that cannot."""
        announced = []
        for data in self.data:
            try:
                announced.append(_announced.decode(data))
            except msgspec.MsgspecError as error:
                on_unreadable(f"{bytes(data).decode()[:200]}: {error}")
        return announced


_frames = msgspec.json.Decoder(IncomingFrame)
_announced = msgspec.json.Decoder(Announced)


class FailureReport(msgspec.Struct, frozen=True, kw_only=True):
    """One model that a coordinator gave up. `model_id` and `ip` must be as they were announced."""

    model_id: str
    failure_code: str
    failure_reason: str | None = None
    ip: str | None


class FailureReportFrame(msgspec.Struct, frozen=True):
    """From a coordinator."""

    event: Literal["report_failure"]
    data: list[FailureReport]


MAX_REPORT_BYTES: Final = 2**19
"""Of a whole report. An orchestrator closes the connection at a message of more than 1 MiB, and does nothing."""


def report_message(report: FailureReport) -> str:
    """Return the message that reports one model. A long reason is cut in its middle, and says so.

    Raises:
        ValueError: It is too large all the same: what was announced of the model is, and cannot be cut.
    """
    reason = report.failure_reason
    cut = replace(report, failure_reason=None if reason is None else shortened(reason))
    # One report a message: if one matches no model, the orchestrator drops those after it.
    message = msgspec.json.encode(FailureReportFrame("report_failure", [cut]))
    if len(message) > MAX_REPORT_BYTES:
        text = f"it takes {len(message)} bytes, and at most {MAX_REPORT_BYTES} are sent; its id or address is too long"
        raise ValueError(text)
    return message.decode()
