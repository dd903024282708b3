"""The deployments that an orchestrator has announced so far."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from crunch_game.crunchdao.protocol import Announced, RunState
from crunch_game.models import Submission


class Announcements:
    """The running deployments of each model, in the order in which they were announced.

    The last one of a model plays. For a new version the orchestrator announces the new deployment before it stops the
    old one, so both run for a moment.
    """

    def __init__(self) -> None:
        self._running: dict[str, dict[str, Announced]] = {}

    def init(self, data: Iterable[Announced]) -> None:
        """Replace everything: a deployment that is absent from `data` does not run."""
        self._running = {}
        self.update(data)

    def update(self, data: Iterable[Announced]) -> None:
        """Apply changes."""
        for announced in data:
            deployments = self._running.get(announced.model_id, {})
            if announced.state == RunState.RUNNING:
                self._running.setdefault(announced.model_id, {})[announced.deployment_id] = announced
            elif announced.deployment_id not in deployments:
                continue
            elif announced.state == RunState.RECOVERING:
                before = deployments[announced.deployment_id]
                deployments[announced.deployment_id] = replace(before, state=RunState.RECOVERING)
            elif announced.state == RunState.STOPPED:
                del deployments[announced.deployment_id]
                if not deployments:
                    del self._running[announced.model_id]

    def snapshot(self) -> dict[str, Submission]:
        """Return the submissions that play, by model id."""
        playing = {model_id: list(deployments.values())[-1] for model_id, deployments in self._running.items()}
        return {model_id: announced.submission for model_id, announced in playing.items()}

    def find(self, model_id: str, deployment_id: str) -> Announced | None:
        """Return the deployment if it runs."""
        return self._running.get(model_id, {}).get(deployment_id)
