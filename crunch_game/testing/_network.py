"""SimulatedNetwork: a local CrunchDAO network in which a test makes models, nodes and connections come, go and fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from crunch_game.crunchdao.dev import DevOrchestrator
from crunch_game.crunchdao.protocol import Announced
from crunch_game.models import Submission
from crunch_game.sources import SourceLike


class SimulatedNetwork(DevOrchestrator):
    """A `DevOrchestrator` that a test controls. It needs no folder of models: they can `join` at any time.

    Where a method has `announce`, False loses the frames, as if the network had dropped them.
    """

    async def join(self, model: SourceLike | Submission, *, announce: bool = True) -> str:
        """Serve and announce a new model, and return its id.

        Raises:
            UsageError: There is a model of that id.
        """
        with self._muted(Submission.of(model).id, not announce):
            return await self.fleet.join(model)

    async def leave(self, model_id: str, *, announce: bool = True) -> None:
        """Announce a model as stopped, and close its node."""
        with self._muted(model_id, not announce):
            await self.fleet.leave(model_id)

    async def replace(self, model: SourceLike | Submission, *, announce: bool = True) -> None:
        """Serve new code for a model: the new deployment is announced before the old one is stopped."""
        with self._muted(Submission.of(model).id, not announce):
            await self.fleet.replace(model)

    async def readmit(self, model_id: str) -> None:
        """Serve a stopped model again, out of quarantine.

        Raises:
            UsageError: It is not stopped.
        """
        await self.fleet.readmit(model_id)

    async def recover(self, model_id: str, *, away: float = 0.0, announce: bool = True) -> None:
        """Lose a model's machine: the same deployment comes back at another port after `away` seconds."""
        with self._muted(model_id, not announce):
            await self.fleet.recover(model_id, away=away)

    async def kill(self, model_id: str) -> None:
        """Close a model's node; the model stays announced."""
        await self.fleet.node(model_id).close()

    async def restart(self, model_id: str | None = None, *, away: float = 0.0) -> None:
        """Close a model's node, or the orchestrator's own server, and open it at the same port after `away` seconds.

        Nothing is announced: a node's instance is lost, and the orchestrator's coordinators lose their connections.
        """
        if model_id is None:
            await self.switchboard.close()
            await asyncio.sleep(away)
            await self.switchboard.open(self.host, self.port)
            return
        node = self.fleet.node(model_id)
        await node.close()
        await asyncio.sleep(away)
        await node.open(self.host, node.port, warn=False)

    def drop(self) -> None:
        """Break every connection to a coordinator; the orchestrator goes on."""
        self.switchboard.drop()

    def announce(self, announcement: Announced) -> None:
        """Announce a deployment whose node is not one of ours, or does not exist."""
        self.fleet.announce(announcement)

    def publish(self, *announcements: Announced) -> None:
        """Send announcements, but those of models whose frames are being lost."""
        super().publish(*(each for each in announcements if each.model_id not in self._mute))

    @cached_property
    def _mute(self) -> set[str]:
        return set()

    @contextmanager
    def _muted(self, model_id: str, muted: bool) -> Iterator[None]:
        if muted:
            self._mute.add(model_id)
        try:
            yield
        finally:
            self._mute.discard(model_id)
