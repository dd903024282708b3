"""The models of an orchestrator: each served by a node, announced, replaced, recovered, given up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from crunch_game import events
from crunch_game.crunchdao.addresses import is_unspecified
from crunch_game.crunchdao.announcements import Announced
from crunch_game.crunchdao.deployment import Deployment, Stage, announced
from crunch_game.crunchdao.frames import CONNECTION_FAILED, Report, RunState, gone
from crunch_game.crunchdao.identity import NodeIdentity
from crunch_game.crunchdao.node import ModelNode
from crunch_game.crunchdao.workplace import Workplace
from crunch_game.errors import ResourceError, UnknownModel, UsageError
from crunch_game.hosts.logs import file_name
from crunch_game.models import Source, Submission
from crunch_game.outcomes import Fault
from crunch_game.rosters.versions import version_of

__all__ = ["Fleet", "Serving"]

logger = logging.getLogger("crunch_game")

_GRACE = 1.0
"""Seconds that answers under way have when their node is closed in good order."""
_UNWRITTEN = "what happens to the models cannot be written to %s: %s; they go on without"
_PLAYING = (Stage.RUNNING, Stage.RECOVERING)


@dataclass(frozen=True)
class Serving:
    """How nodes serve: where they listen, the address that is announced, their limits in seconds, logs, identities."""

    host: str
    announce: str
    setup_timeout: float
    call_timeout: float
    logs: Path | None
    identities: Mapping[str, NodeIdentity]

    def announced(self, submission: Submission, port: int) -> Announced:
        """What coordinators are told of a submission that is served behind that port."""
        identity = self.identities.get(submission.id)
        owned = submission if identity is None else replace(submission, info={**submission.info, **identity.infos()})
        return announced(owned, self.announce, port)


class Fleet:
    """Models that come and go, one change at a time. `tell` reaches the coordinators; on asyncio."""

    def __init__(
        self,
        workplace: Workplace,
        serving: Serving,
        tell: Callable[..., None],
        on_event: Callable[[events.RunnerEvent], Any],
    ) -> None:
        self._workplace = workplace
        self._serving = serving
        self._tell = tell
        self._on_event = on_event
        self._models: dict[str, Deployment] = {}
        self._nodes: set[ModelNode] = set()
        self._quarantine: dict[tuple[str, str], str] = {}
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._unwritten = False
        self.models: Mapping[str, Deployment] = MappingProxyType(self._models)
        self.reports: list[Report] = []

    def running(self) -> list[Announced]:
        """What an `init` tells."""
        return [model.announcement for model in self._models.values() if model.stage is Stage.RUNNING]

    async def close(self) -> None:
        """End every node and every model."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(node.close() for node in self._nodes))

    # What can happen to a model.

    async def join(self, model: Source | Submission, *, announce: bool = True) -> str:
        """Serve a new one; gives its id.

        Raises:
            UsageError: There is a model of that id.
        """
        submission = _versioned(model)
        async with self._one_at_a_time:
            if submission.id in self._models:
                raise UsageError(f"there is a model {submission.id!r} already; replace it, or choose another id")
            await self._bring_in(submission, announce=announce)
        return submission.id

    async def leave(self, model_id: str, *, announce: bool = True) -> None:
        """Stop one, and forget it."""
        async with self._one_at_a_time:
            model = self.model(model_id)
            await self._end(model, announce=announce)
            del self._models[model_id]
        self._emit(events.ModelLeft(model_id, model.deployment_id))

    async def replace(self, model: Source | Submission, *, announce: bool = True) -> None:
        """Serve new code for one; the old is stopped after that."""
        submission = _versioned(model)
        async with self._one_at_a_time:
            old = self.model(submission.id)
            await self._bring_in(submission, announce=announce)
            await self._end(old, announce=announce)
        self._emit(events.ModelRedeployed(submission.id, submission.deployment_id, old.deployment_id))

    async def rename(self, submission: Submission) -> None:
        """Tell new names of one; its code is the same."""
        async with self._one_at_a_time:
            model = self.model(submission.id)
            message = model.rename(submission, self._serving.announced(submission, 0).infos)
            if model.stage is Stage.RUNNING:
                self._tell(message)

    async def readmit(self, model_id: str) -> None:
        """Serve one again that is stopped.

        Raises:
            UsageError: It is not.
        """
        async with self._one_at_a_time:
            model = self.model(model_id)
            if model.submission is None or model.stage in _PLAYING:
                raise UsageError(f"the model {model_id!r} is {model.stage}; only one that is stopped is readmitted")
            self._quarantine.pop((model.id, model.deployment_id), None)
            await self._bring_in(model.submission, announce=True)

    async def recover(self, model_id: str, *, away: float, announce: bool = True) -> None:
        """Lose the node of one, and serve it again elsewhere after that many seconds."""
        model, node = self.model(model_id), self.node(model_id)
        async with self._one_at_a_time:
            if model.node is not node:
                return
            await self._close(model)
            message = model.recover()
            if announce:
                self._tell(message)
        await asyncio.sleep(away)
        async with self._one_at_a_time:
            if model.stage is not Stage.RECOVERING or self._models.get(model_id) is not model:
                return  # it was given up, it left, or it has new code
            try:
                model.node = await self._serve(node.submission)
            except ResourceError as error:
                await self._refuse(model, error, announce=announce)
                return
            message = model.run(model.node.port)
            if announce:
                self._tell(message)

    def tell(self, announcement: Announced) -> None:
        """Announce one whose node is somebody else's."""
        if announcement.state == RunState.STOPPED:
            self._models.pop(announcement.model_id, None)
        else:
            stage = Stage.RUNNING if announcement.state == RunState.RUNNING else Stage.RECOVERING
            self._models[announcement.model_id] = Deployment(None, announcement, None, stage)
        self._tell(announcement)

    def hear(self, report: Report) -> bool:
        """A coordinator gave a model up; whether there is such a model."""
        model = self._models.get(report.model_id)
        if model is None or model.stage not in _PLAYING:
            return False
        if model.announcement.ip != report.ip and not is_unspecified(model.announcement.ip):
            return False
        self.reports.append(report)
        reason = f"{report.failure_code}: {report.failure_reason or 'no reason was given'}"
        self._note(model.id, f"a coordinator gave it up: {reason}")
        self._do(self._give_up(model, reason, quarantine=report.failure_code != CONNECTION_FAILED))
        return True

    # How it comes about.

    async def _bring_in(self, submission: Submission, *, announce: bool) -> None:
        nowhere = self._serving.announced(submission, 0)
        why = self._quarantine.get((submission.id, submission.deployment_id))
        if why is not None:
            self._models[submission.id] = Deployment(submission, nowhere, None, Stage.QUARANTINED, why)
            return
        try:
            node = await self._serve(submission)
        except ResourceError as error:
            self._models[submission.id] = Deployment(submission, nowhere, None, Stage.STOPPED)
            await self._refuse(self._models[submission.id], error, announce=announce)
            return
        model = Deployment(submission, self._serving.announced(submission, node.port), node)
        self._models[submission.id] = model
        if announce:
            self._tell(model.announcement)
        self._emit(events.ModelJoined(submission.id, submission.deployment_id))

    async def _serve(self, submission: Submission) -> ModelNode:
        node = ModelNode(
            submission,
            self._workplace,
            identity=self._serving.identities.get(submission.id),
            setup_timeout=self._serving.setup_timeout,
            call_timeout=self._serving.call_timeout,
            tell=lambda sentence: self._note(submission.id, sentence),
            on_end=lambda fault: self._do(self._revive(node, fault)),
        )
        await node.open(self._serving.host, warn=False)
        self._nodes.add(node)
        return node

    async def _refuse(self, model: Deployment, error: ResourceError, *, announce: bool) -> None:
        """One whose node cannot be had is stopped; the others go on."""
        self._note(model.id, f"it cannot be served: {error}")
        await self._stop(model, str(error), announce=announce)

    async def _end(self, model: Deployment, *, announce: bool) -> None:
        told = announce and model.stage in _PLAYING
        stopping, stopped = gone(model.announcement)
        if told:
            self._tell(stopping)
        await self._close(model)
        if told:
            self._tell(stopped)

    async def _close(self, model: Deployment) -> None:
        node, model.node = model.node, None
        if node is not None:
            await node.close(_GRACE)
            self._nodes.discard(node)

    async def _revive(self, node: ModelNode, fault: Fault) -> None:
        """An instance ended by itself: the deployment is away for a moment, and comes back with a fresh one."""
        model = self._models.get(node.submission.id)
        if model is None or model.node is not node or model.stage is not Stage.RUNNING:
            return
        delay = model.ended()
        self._emit(events.ModelRestarted(model.id, model.deployment_id, fault, delay))
        await self.recover(model.id, away=delay)

    async def _give_up(self, model: Deployment, reason: str, *, quarantine: bool) -> None:
        async with self._one_at_a_time:
            if self._models.get(model.id) is not model or model.stage not in _PLAYING:
                return
            if quarantine:
                self._quarantine[model.id, model.deployment_id] = reason
            await self._stop(model, reason, announce=True, stage=Stage.QUARANTINED if quarantine else Stage.STOPPED)

    async def _stop(self, model: Deployment, reason: str, *, announce: bool, stage: Stage = Stage.STOPPED) -> None:
        await self._end(model, announce=announce)
        model.stage, model.words = stage, reason
        self._emit(events.ModelStopped(model.id, model.deployment_id, reason))

    def model(self, model_id: str) -> Deployment:
        """The model of that id.

        Raises:
            UnknownModel: There is none.
        """
        if model_id not in self._models:
            known = ", ".join(sorted(self._models)) or "no model at all"
            raise UnknownModel(f"there is no model {model_id!r} here; there is {known}")
        return self._models[model_id]

    def node(self, model_id: str) -> ModelNode:
        """The node of that model.

        Raises:
            UnknownModel: There is no such model.
            UsageError: It has no node here.
        """
        node = self.model(model_id).node
        if node is None:
            raise UsageError(f"the model {model_id!r} has no node that runs here")
        return node

    # What is told.

    def _emit(self, event: events.RunnerEvent) -> None:
        try:
            self._on_event(event)
        except Exception:
            logger.exception("on_event raised for %r; the models go on", event)

    def _note(self, model_id: str, sentence: str) -> None:
        if model_id in self._models:
            self._models[model_id].words = sentence.partition("\n")[0]
        if self._serving.logs is None:
            return
        try:
            self._write(self._serving.logs, model_id, sentence)
            self._unwritten = False
        except OSError as error:
            if not self._unwritten:
                logger.warning(_UNWRITTEN, self._serving.logs, error.strerror or error)
            self._unwritten = True

    def _write(self, logs: Path, model_id: str, sentence: str) -> None:
        logs.mkdir(parents=True, exist_ok=True)  # somebody may have tidied up
        with (logs / f"{file_name(model_id)}.log").open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {sentence}\n")

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _versioned(model: Source | Submission) -> Submission:
    """The submission; one that its giver does not tell apart is told apart by its contents."""
    submission = Submission.of(model)
    return submission if submission is model else replace(submission, deployment_id=version_of(submission.source))
