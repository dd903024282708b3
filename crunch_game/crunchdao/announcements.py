"""What an orchestrator has announced so far: which deployment of which model runs where."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from crunch_game.models import Submission

__all__ = ["Announced", "Announcements", "Frame"]


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
        """The submission of its node."""
        infos = self.infos or {}
        host = f"[{self.ip}]" if self.ip and ":" in self.ip else self.ip
        return Submission(
            id=self.model_id,
            source=f"{host}:{self.port}",
            deployment_id=self.deployment_id,
            name=str(infos.get("model_name") or ""),
            info=infos,
            away=self.state == "RECOVERING",
        )


class Frame(msgspec.Struct, frozen=True):
    """One message of an orchestrator."""

    event: str | None = None
    data: list[msgspec.Raw] = []
    error: str | None = None

    @classmethod
    def read(cls, message: str | bytes) -> Frame:
        """The message that these bytes are.

        Raises:
            MsgspecError: They are none.
        """
        return _frames.decode(message)

    def announced(self, unread: Callable[[str], None]) -> list[Announced]:
        """What it announces; `unread` is told of what cannot be read, and the rest is taken."""
        announced = []
        for data in self.data:
            try:
                announced.append(_announced.decode(data))
            except msgspec.MsgspecError as error:
                unread(f"{bytes(data).decode()[:200]}: {error}")
        return announced


_frames = msgspec.json.Decoder(Frame)
_announced = msgspec.json.Decoder(Announced)


class Announcements:
    """The deployments that run, in the order in which they began to.

    The last one of a model is the one that plays: the new one is announced before the old one is withdrawn, and an old
    one's withdrawal is none of the new one's business.
    """

    def __init__(self) -> None:
        self._running: dict[str, dict[str, Announced]] = {}

    def init(self, data: Iterable[Announced]) -> None:
        """Take the whole truth: what is absent does not run."""
        self._running = {}
        self.update(data)

    def update(self, data: Iterable[Announced]) -> None:
        """Take what has changed."""
        for announced in data:
            deployments = self._running.get(announced.model_id, {})
            if announced.state == "RUNNING":
                self._running.setdefault(announced.model_id, {})[announced.deployment_id] = announced
            elif announced.deployment_id not in deployments:
                continue
            elif announced.state == "RECOVERING":
                before = deployments[announced.deployment_id]
                deployments[announced.deployment_id] = msgspec.structs.replace(before, state="RECOVERING")
            elif announced.state == "STOPPED":
                del deployments[announced.deployment_id]
                if not deployments:
                    del self._running[announced.model_id]

    def snapshot(self) -> dict[str, Submission]:
        """The submissions that play, by model id."""
        playing = {model_id: list(deployments.values())[-1] for model_id, deployments in self._running.items()}
        return {model_id: announced.submission for model_id, announced in playing.items()}

    def find(self, model_id: str, deployment_id: str) -> Announced | None:
        """A deployment that runs."""
        return self._running.get(model_id, {}).get(deployment_id)
