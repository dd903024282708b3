"""The development orchestrator: submissions served by nodes in this process, announced as CrunchDAO's own does it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from crunch_game import events
from crunch_game._public import public
from crunch_game.contract import Contract
from crunch_game.crunchdao.dev._deployment import Deployment
from crunch_game.crunchdao.dev._fleet import Fleet, NodeOptions
from crunch_game.crunchdao.dev._switchboard import Switchboard
from crunch_game.crunchdao.node import NodeIdentity, Workplace
from crunch_game.crunchdao.protocol import Announced, FailureReport, check, is_loopback, written
from crunch_game.errors import UsageError
from crunch_game.hosts.process import MAX_FRAME, ProcessHost
from crunch_game.loading import Loader
from crunch_game.models import Submission
from crunch_game.rosters import DirectoryRoster, StaticRoster
from crunch_game.rosters.base import Roster

logger = logging.getLogger("crunch_game")


@public
class DevOrchestrator:
    """A local CrunchDAO network without Docker: serves the models of a folder, and announces them to coordinators.

    Each submission is served by a node on a port of its own. The nodes run in this process, the models in processes of
    the process host. On asyncio, used as `async with`. `crunch_game.testing.SimulatedNetwork` can also make it fail.

    Args:
        crunch_id: What coordinators must ask for: the game's name.
        contract: The game's base class.
        models: A folder, which is watched, or a Roster.
        host: Where it and its nodes listen. They authenticate nobody: keep it on loopback.
        port: Where coordinators connect; 0 takes a free one.
        announce: The address of the nodes that coordinators are told; by default `host` or, if that means all
            addresses of the machine, the one that the coordinator connected to.
        loader: How a submission becomes a model.
        identities: By model id, the identities of nodes that are secured; wallet and hotkey are announced. A model
            whose identity coordinators would refuse is stopped.
        process_host: Where models run; by default a `ProcessHost()`.
        setup_timeout: Seconds for loading a model.
        call_timeout: Seconds after which a call is ended, and the model's process with it.
        logs: The folder for what happens to each model (`ID.log`) and, without a `process_host`, for what it prints.
        on_event: Called with a record of `crunch_game.events` for whatever happens.

    Raises:
        GameError: The folder does not exist.
        ResourceError: On entering: the port is taken.
        ContractError: The base class is not one, or (on entering) cannot be imported by other processes.
    """

    def __init__(
        self,
        crunch_id: str,
        contract: type | str | Contract,
        models: Roster | str | Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        announce: str | None = None,
        loader: Loader | None = None,
        identities: Mapping[str, NodeIdentity] | None = None,
        process_host: ProcessHost | None = None,
        setup_timeout: float = 60.0,
        call_timeout: float = 120.0,
        logs: str | Path | None = None,
        on_event: Callable[[events.RunnerEvent], Any] = lambda event: None,
    ) -> None:
        self.crunch_id = crunch_id
        self.host = host
        self.port = port
        logs = Path(logs) if logs is not None else None
        self._options = NodeOptions(host, announce or host, setup_timeout, call_timeout, logs, dict(identities or {}))
        self._contract = Contract.of(contract)
        if isinstance(models, str | Path):
            models = DirectoryRoster(models)
        self._roster: Roster = StaticRoster([]) if models is None else models
        self._loader = loader
        self._process_host = process_host or ProcessHost(logs=logs, answer_limit=MAX_FRAME)
        self._on_event = on_event
        self.switchboard = Switchboard(
            crunch_id, lambda: self.fleet.running(), lambda report: self.fleet.receive(report)
        )
        self._fleet: Fleet | None = None
        self._listed: Mapping[str, Submission] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise UsageError("the orchestrator runs on asyncio, as gRPC does; start it with asyncio.run") from None
        check("orchestrator", self.host, self.port)
        # Entering waits for the first snapshot, so that coordinators get every model in their first `init`.
        begun: asyncio.Future[None] = loop.create_future()
        following = asyncio.create_task(self._follow(begun))
        try:
            await begun
            await self.switchboard.open(self.host, self.port)
        except BaseException:
            await self._end(following)
            raise
        self.port = self.switchboard.port
        if not is_loopback(self.host):
            where = written(self.host, self.port)
            logger.warning("the orchestrator listens on %s, its nodes beside it; nobody is asked who he is", where)
        self._following = following
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end(self._following)

    async def _end(self, following: asyncio.Task[None]) -> None:
        with anyio.CancelScope(shield=True):  # whoever is cancelled must not leave nodes behind, nor a port
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await self.switchboard.close()
            await self._stack.aclose()

    @property
    def models(self) -> Mapping[str, Deployment]:
        """Every model by id; stopped ones too."""
        return self.fleet.models

    @property
    def reports(self) -> list[FailureReport]:
        """The models that coordinators gave up, and why, in order."""
        return self.fleet.reports

    @property
    def coordinators(self) -> int:
        """How many coordinators are connected."""
        return self.switchboard.coordinators

    def publish(self, *announcements: Announced) -> None:
        """Send announcements to every coordinator. For subclasses that lose or change some."""
        self.switchboard.tell(*announcements)

    async def _follow(self, begun: asyncio.Future[None]) -> None:
        try:
            async with aclosing(self._roster.follow()) as snapshots:
                async for snapshot in snapshots:
                    if self._fleet is None:
                        await self._begin(snapshot)
                    await self._adopt(snapshot)
                    if not begun.done():
                        begun.set_result(None)
        except Exception as error:
            if begun.done():
                logger.exception("the models stay as they are: they are followed no more")
            else:
                begun.set_exception(error)

    async def _begin(self, snapshot: Mapping[str, Submission]) -> None:
        if self._options.logs is not None:
            self._options.logs.mkdir(parents=True, exist_ok=True)
        workplace = await self._stack.enter_async_context(
            Workplace(self._contract, loader=self._loader, host=self._process_host, submissions=list(snapshot.values()))
        )
        self._fleet = Fleet(workplace, self._options, self.publish, self._on_event)
        self._stack.push_async_callback(self._fleet.close)

    async def _adopt(self, snapshot: Mapping[str, Submission]) -> None:
        before, self._listed, fleet = self._listed, dict(snapshot), self.fleet
        for model_id in (before.keys() - snapshot.keys()) & fleet.models.keys():
            await fleet.leave(model_id)
        for model_id, submission in snapshot.items():
            known = before.get(model_id)
            if model_id not in fleet.models:
                await fleet.join(submission)
            elif known is None or known.deployment_id != submission.deployment_id:
                await fleet.replace(submission)
            elif known != submission:
                await fleet.rename(submission)

    @property
    def fleet(self) -> Fleet:
        """The deployments.

        Raises:
            ContractError: The orchestrator is not entered.
        """
        if self._fleet is None:
            name = type(self).__name__
            raise UsageError(f"the orchestrator is not running; use it inside: async with {name}(...)")
        return self._fleet
