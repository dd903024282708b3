"""The deployments of a development orchestrator: served, announced, replaced, recovered and stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import structs

from crunch_game import events
from crunch_game.crunchdao.dev._deployment import Deployment, Stage
from crunch_game.crunchdao.node import ModelNode, NodeIdentity, Workplace
from crunch_game.crunchdao.protocol import (
    CONNECTION_FAILED,
    Announced,
    FailureReport,
    RunState,
    is_unspecified,
    stop_announcements,
)
from crunch_game.errors import ResourceError, UnknownModel, UsageError
from crunch_game.faults import shortened
from crunch_game.hosts.process import file_name
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.rosters import version_of
from crunch_game.sources import SourceLike

logger = logging.getLogger("crunch_game")

_GRACE_SECONDS = 1.0
"""How long a node that is closed in good order may still answer."""
_LOG_WARNING = "what happens to the models cannot be written to %s: %s; they go on without"
_PLAYING = (Stage.RUNNING, Stage.RECOVERING)


@dataclass(frozen=True)
class NodeOptions:
    """What all nodes have in common.

    Attributes:
        host: Where they listen.
        announce: The address that coordinators are told.
        setup_timeout: Seconds for loading a model.
        call_timeout: Seconds for one call.
        logs: The folder of the models' logs.
        identities: By model id, for the nodes that are secured.
    """

    host: str
    announce: str
    setup_timeout: float
    call_timeout: float
    logs: Path | None
    identities: Mapping[str, NodeIdentity]

    def announced(self, submission: Submission, port: int) -> Announced:
        """Announce a submission that is served at that port; its `info` may name the cruncher and the wallet."""
        identity = self.identities.get(submission.id)
        info = submission.info if identity is None else {**submission.info, **identity.infos()}
        name = submission.name or submission.id
        infos: dict[str, str | None] = {"model_name": name, "cruncher_id": submission.id, "cruncher_name": name}
        infos |= {"cruncher_wallet_pubkey": None, "cruncher_hotkey": None}
        return Announced(
            deployment_id=submission.deployment_id,
            model_id=submission.id,
            state=RunState.RUNNING,
            ip=self.announce,
            port=port,
            infos={key: info.get(key, value) for key, value in infos.items()},
        )


class Fleet:
    """The deployments, which change one at a time. `tell` sends announcements to the coordinators. On asyncio."""

    def __init__(
        self,
        workplace: Workplace,
        options: NodeOptions,
        tell: Callable[..., None],
        on_event: Callable[[events.RunnerEvent], Any],
    ) -> None:
        self._workplace = workplace
        self._options = options
        self._tell = tell
        self._on_event = on_event
        self._models: dict[str, Deployment] = {}
        self._nodes: set[ModelNode] = set()
        self._quarantine: dict[tuple[str, str], str] = {}
        # Changes await nodes: without it, a model could be replaced while it recovers.
        self._one_at_a_time = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._log_failed = False
        self.models: Mapping[str, Deployment] = MappingProxyType(self._models)
        self.reports: list[FailureReport] = []

    def running(self) -> list[Announced]:
        """Return what an `init` frame announces."""
        return [model.announcement for model in self._models.values() if model.stage is Stage.RUNNING]

    async def close(self) -> None:
        """Close every node, which ends its model."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(node.close() for node in self._nodes))

    async def join(self, model: SourceLike | Submission) -> str:
        """Serve a new model, and return its id.

        Raises:
            UsageError: There is a model of that id.
        """
        submission = _versioned(model)
        async with self._one_at_a_time:
            if submission.id in self._models:
                raise UsageError(f"there is a model {submission.id!r} already; replace it, or choose another id")
            await self._add(submission)
        return submission.id

    async def leave(self, model_id: str) -> None:
        """Stop a model, and forget it."""
        async with self._one_at_a_time:
            model = self.model(model_id)
            await self._end(model)
            del self._models[model_id]
        self._emit(events.ModelLeft(model_id, model.deployment_id))

    async def replace(self, model: SourceLike | Submission) -> None:
        """Serve a model's new code, then stop the old deployment."""
        submission = _versioned(model)
        async with self._one_at_a_time:
            old = self.model(submission.id)
            await self._add(submission)
            await self._end(old)
        self._emit(events.ModelRedeployed(submission.id, submission.deployment_id, old.deployment_id))

    async def rename(self, submission: Submission) -> None:
        """Announce a model's new names; its code is the same."""
        async with self._one_at_a_time:
            model = self.model(submission.id)
            model.submission = submission
            infos = self._options.announced(submission, 0).infos
            model.announcement = structs.replace(model.announcement, infos=infos)
            if model.stage is Stage.RUNNING:
                self._tell(model.announcement)

    async def readmit(self, model_id: str) -> None:
        """Serve a stopped model again.

        Raises:
            UsageError: It is not stopped.
        """
        async with self._one_at_a_time:
            model = self.model(model_id)
            if model.submission is None or model.stage in _PLAYING:
                raise UsageError(f"the model {model_id!r} is {model.stage}; only one that is stopped is readmitted")
            self._quarantine.pop((model.id, model.deployment_id), None)
            await self._add(model.submission)

    async def recover(self, model_id: str, *, away: float) -> None:
        """Close a model's node, and serve the same deployment at another port after `away` seconds."""
        model, node = self.model(model_id), self.node(model_id)
        async with self._one_at_a_time:
            if model.node is not node:
                return
            await self._close(model)
            self._tell(model.recover())
        await asyncio.sleep(away)
        async with self._one_at_a_time:
            if model.stage is not Stage.RECOVERING or self._models.get(model_id) is not model:
                return  # it was given up, left or was replaced meanwhile
            try:
                model.node = await self._serve(node.submission)
            except ResourceError as error:
                await self._stop_unservable(model, error)
                return
            self._tell(model.run(model.node.port))

    def announce(self, announcement: Announced) -> None:
        """Announce a deployment whose node is not one of ours."""
        if announcement.state == RunState.STOPPED:
            self._models.pop(announcement.model_id, None)
        else:
            stage = Stage.RUNNING if announcement.state == RunState.RUNNING else Stage.RECOVERING
            self._models[announcement.model_id] = Deployment(None, announcement, None, stage)
        self._tell(announcement)

    def receive(self, report: FailureReport) -> bool:
        """Stop the model that a coordinator gave up; false if there is no such model."""
        model = self._models.get(report.model_id)
        if model is None or model.stage not in _PLAYING:
            return False
        # A report of another address is about a deployment that has ended since.
        if model.announcement.ip != report.ip and not is_unspecified(model.announcement.ip):
            return False
        code, why = shortened(report.failure_code), shortened(report.failure_reason or "")
        self.reports.append(structs.replace(report, failure_code=code, failure_reason=why or report.failure_reason))
        reason = f"{code}: {why or 'no reason was given'}"
        self._note(model.id, f"a coordinator gave it up: {reason}")
        self._start(self._give_up(model, reason, quarantine=report.failure_code != CONNECTION_FAILED))
        return True

    async def _add(self, submission: Submission) -> None:
        not_served = self._options.announced(submission, 0)
        why = self._quarantine.get((submission.id, submission.deployment_id))
        if why is not None:
            self._models[submission.id] = Deployment(submission, not_served, None, Stage.QUARANTINED, why)
            return
        try:
            node = await self._serve(submission)
        except ResourceError as error:
            self._models[submission.id] = Deployment(submission, not_served, None, Stage.STOPPED)
            await self._stop_unservable(self._models[submission.id], error)
            return
        model = Deployment(submission, self._options.announced(submission, node.port), node)
        self._models[submission.id] = model
        self._tell(model.announcement)
        self._emit(events.ModelJoined(submission.id, submission.deployment_id))

    async def _serve(self, submission: Submission) -> ModelNode:
        node = ModelNode(
            submission,
            self._workplace,
            identity=self._options.identities.get(submission.id),
            setup_timeout=self._options.setup_timeout,
            call_timeout=self._options.call_timeout,
            tell=lambda sentence: self._note(submission.id, sentence),
            on_end=lambda fault: self._start(self._revive(node, fault)),
        )
        self._nodes.add(node)
        try:
            await node.open(self._options.host, warn=False)
        except ResourceError:
            self._nodes.discard(node)
            raise
        return node

    async def _stop_unservable(self, model: Deployment, error: ResourceError) -> None:
        self._note(model.id, f"it cannot be served: {error}")
        await self._stop(model, str(error))

    async def _end(self, model: Deployment) -> None:
        announced = model.stage in _PLAYING
        stopping, stopped = stop_announcements(model.announcement)
        if announced:
            self._tell(stopping)
        await self._close(model)
        if announced:
            self._tell(stopped)

    async def _close(self, model: Deployment) -> None:
        node, model.node = model.node, None
        if node is not None:
            await node.close(_GRACE_SECONDS)
            self._nodes.discard(node)

    async def _revive(self, node: ModelNode, fault: Fault) -> None:
        """Serve a deployment again whose instance ended by itself."""
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
            await self._stop(model, reason, Stage.QUARANTINED if quarantine else Stage.STOPPED)

    async def _stop(self, model: Deployment, reason: str, stage: Stage = Stage.STOPPED) -> None:
        await self._end(model)
        model.stage, model.last_note = stage, reason
        self._emit(events.ModelStopped(model.id, model.deployment_id, reason))

    def model(self, model_id: str) -> Deployment:
        """Return the deployment of that model.

        Raises:
            UnknownModel: There is none.
        """
        if model_id not in self._models:
            known = ", ".join(sorted(self._models)) or "no model at all"
            raise UnknownModel(f"there is no model {model_id!r} here; there is {known}")
        return self._models[model_id]

    def node(self, model_id: str) -> ModelNode:
        """Return the node of that model.

        Raises:
            UnknownModel: There is no such model.
            UsageError: It has no node here.
        """
        node = self.model(model_id).node
        if node is None:
            raise UsageError(f"the model {model_id!r} has no node that runs here")
        return node

    def _emit(self, event: events.RunnerEvent) -> None:
        try:
            self._on_event(event)
        except Exception:
            logger.exception("on_event raised for %r; the models go on", event)

    def _note(self, model_id: str, sentence: str) -> None:
        if model_id in self._models:
            self._models[model_id].last_note = sentence.partition("\n")[0]
        if self._options.logs is None:
            return
        try:
            # Created each time: an operator may have removed the folder while models play.
            self._options.logs.mkdir(parents=True, exist_ok=True)
            with (self._options.logs / f"{file_name(model_id)}.log").open("a", encoding="utf-8") as log:
                log.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {sentence}\n")
            self._log_failed = False
        except OSError as error:
            if not self._log_failed:
                logger.warning(_LOG_WARNING, self._options.logs, error.strerror or error)
            self._log_failed = True

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _versioned(model: SourceLike | Submission) -> Submission:
    """Return the submission; a source that is no Submission has its content's hash as deployment id."""
    submission = Submission.of(model)
    return submission if submission is model else replace(submission, deployment_id=version_of(submission.source))
