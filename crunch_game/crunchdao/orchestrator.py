"""The development orchestrator: submissions served by nodes in this process, announced as CrunchDAO's own does it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from crunch_game import events
from crunch_game.contract import Contract
from crunch_game.crunchdao.addresses import check, is_loopback, written
from crunch_game.crunchdao.announcements import Announced
from crunch_game.crunchdao.deployment import Deployment
from crunch_game.crunchdao.fleet import Fleet, Serving
from crunch_game.crunchdao.frames import Report
from crunch_game.crunchdao.identity import NodeIdentity
from crunch_game.crunchdao.switchboard import Switchboard
from crunch_game.crunchdao.workplace import Workplace
from crunch_game.errors import UsageError
from crunch_game.hosts.framing import MAX_FRAME
from crunch_game.hosts.process import ProcessHost
from crunch_game.loading import Loader
from crunch_game.models import Source, Submission
from crunch_game.public import public
from crunch_game.rosters.base import Roster
from crunch_game.rosters.directory import DirectoryRoster
from crunch_game.rosters.static import StaticRoster

__all__ = ["DevOrchestrator"]

logger = logging.getLogger("crunch_game")


@public
class DevOrchestrator:
    """Runs models without Docker and tells coordinators of them: a whole local network, and a simulator for tests.

    Each submission is served by a node on a port of its own. The nodes live in this process, the models in processes of
    the process host. On asyncio, used as `async with`.

    Args:
        crunch_id: What coordinators must ask for: the game's name.
        contract: The game's base class.
        models: A folder, which is watched, or a Roster. Others can `join` at any time.
        host: Where it and its nodes listen. Nobody is asked who he is: keep it on loopback.
        port: Where coordinators connect; 0 takes a free one.
        announce: The address of the nodes that coordinators are told; `host` unless given, and where that is every
            address of the machine, the one by which the coordinator came.
        loader: How a submission becomes a model.
        identities: By model id, who its node is where it is secured; the wallet and the hotkey are announced. A model
            whose identity coordinators would not believe is stopped.
        process_host: Where models run; a `ProcessHost()` unless given.
        setup_timeout: Seconds for loading a model.
        call_timeout: Seconds after which a call is ended, and the model's process with it.
        logs: The folder for what happens to each model (`ID.log`), and, without a `process_host`, for what it prints.
        on_event: Called with a frozen record of `crunch_game.events` for what happens.

    Raises:
        GameError: The folder is not there.
        ResourceError: On entering: the port is taken.
        ContractError: The base class is none, or (on entering) cannot be imported by other processes.
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
        self._serving = Serving(host, announce or host, setup_timeout, call_timeout, logs, dict(identities or {}))
        self._contract = Contract.of(contract)
        self._roster = _roster_of(models)
        self._loader = loader
        self._process_host = process_host or ProcessHost(logs=logs, answer_limit=MAX_FRAME)
        self._on_event = on_event
        self._switchboard = Switchboard(
            crunch_id, lambda: self._entered.running(), lambda report: self._entered.hear(report)
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
        begun: asyncio.Future[None] = loop.create_future()
        following = asyncio.create_task(self._follow(begun))
        try:
            await begun
            await self._listen()
        except BaseException:
            await self._end(following)
            raise
        self._following = following
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._end(self._following)

    async def _end(self, following: asyncio.Task[None]) -> None:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await self._switchboard.close()
        await self._stack.aclose()

    async def _listen(self) -> None:
        await self._switchboard.open(self.host, self.port)
        self.port = self._switchboard.port
        if not is_loopback(self.host):
            where = written(self.host, self.port)
            logger.warning("the orchestrator listens on %s, its nodes beside it; nobody is asked who he is", where)

    @property
    def models(self) -> Mapping[str, Deployment]:
        """Every model by id; stopped ones too."""
        return self._entered.models

    @property
    def reports(self) -> list[Report]:
        """What coordinators gave up, and why, in order."""
        return self._entered.reports

    @property
    def coordinators(self) -> int:
        """How many coordinators are connected."""
        return self._switchboard.coordinators

    # What can be made to happen.

    async def join(self, model: Source | Submission, *, announce: bool = True) -> str:
        """A model joins: it is served, and announced unless that frame is to be lost. Gives its id.

        Raises:
            UsageError: There is a model of that id.
        """
        return await self._entered.join(model, announce=announce)

    async def leave(self, model_id: str, *, announce: bool = True) -> None:
        """A model leaves: it is announced as stopped, twice as on the network, and its node ends."""
        await self._entered.leave(model_id, announce=announce)

    async def replace(self, model: Source | Submission, *, announce: bool = True) -> None:
        """New code for a model: the new deployment is announced before the old one is stopped."""
        await self._entered.replace(model, announce=announce)

    async def readmit(self, model_id: str) -> None:
        """A model that was given up runs again as it is, out of quarantine."""
        await self._entered.readmit(model_id)

    async def recover(self, model_id: str, *, away: float = 0.0, announce: bool = True) -> None:
        """A model's machine is lost: the same deployment comes back behind another port, after `away` seconds."""
        await self._entered.recover(model_id, away=away, announce=announce)

    async def kill(self, model_id: str) -> None:
        """A model's node is gone without a word; it stays announced."""
        await self._entered.node(model_id).close()

    async def restart(self, model_id: str | None = None, *, away: float = 0.0) -> None:
        """A node, or the orchestrator itself, goes away and comes back behind the same port after `away` seconds.

        Nothing of it is announced: a node's instance is lost, and the orchestrator's coordinators find their
        connections broken.
        """
        if model_id is None:
            await self._switchboard.close()
            await asyncio.sleep(away)
            await self._switchboard.open(self.host, self.port)
            return
        node = self._entered.node(model_id)
        await node.close()
        await asyncio.sleep(away)
        await node.open(self.host, node.port, warn=False)

    def drop(self) -> None:
        """Every connection to a coordinator breaks; the orchestrator stays."""
        self._switchboard.drop()

    def tell(self, announcement: Announced) -> None:
        """Announce a model whose node is somebody else's, or nobody's."""
        self._entered.tell(announcement)

    # The roster.

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
        if self._serving.logs is not None:
            self._serving.logs.mkdir(parents=True, exist_ok=True)
        workplace = await self._stack.enter_async_context(
            Workplace(self._contract, loader=self._loader, host=self._process_host, submissions=list(snapshot.values()))
        )
        self._fleet = Fleet(workplace, self._serving, self._switchboard.tell, self._on_event)
        self._stack.push_async_callback(self._fleet.close)

    async def _adopt(self, snapshot: Mapping[str, Submission]) -> None:
        before, self._listed, fleet = self._listed, dict(snapshot), self._entered
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
    def _entered(self) -> Fleet:
        if self._fleet is None:
            raise UsageError("the orchestrator is not running; use it inside: async with DevOrchestrator(...)")
        return self._fleet


def _roster_of(models: Roster | str | Path | None) -> Roster:
    if models is None:
        return StaticRoster([])
    return DirectoryRoster(models) if isinstance(models, str | Path) else models
