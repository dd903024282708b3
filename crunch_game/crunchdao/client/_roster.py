"""CrunchRoster: the models that CrunchDAO's orchestrator announces over its WebSocket."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

import anyio
import msgspec
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from crunch_game._public import public
from crunch_game.crunchdao.client import _backoff as backoff
from crunch_game.crunchdao.client._credentials import Credentials
from crunch_game.crunchdao.client._host import NodeHost, need_asyncio
from crunch_game.crunchdao.client._reports import DueReport, Reports
from crunch_game.crunchdao.protocol import (
    CONNECTION_FAILED,
    Announced,
    IncomingFrame,
    RunState,
    report_message,
    written,
)
from crunch_game.errors import GameError
from crunch_game.events import RosterFound, RosterLost
from crunch_game.faults import shortened
from crunch_game.hosts.base import Host
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Cause

logger = logging.getLogger("crunch_game")

_FIRST_FRAME_TIMEOUT: Final = 5.0
"""Seconds to wait for the orchestrator's first frame; after that the game begins without models."""
_FAREWELL_SECONDS: Final = 0.25
"""For the orchestrator to say goodbye when the game ends."""


@public
class CrunchRoster:
    """The models of one crunch, as CrunchDAO's orchestrator announces them. Needs asyncio.

    While the orchestrator cannot be reached, the models that it announced last continue to play.

    Args:
        crunch_id: The game's id there.
        host: The orchestrator's host name or address.
        port: Its port.
        credentials: How the connections to the model nodes are secured; plain text unless given.
        report_failures: Whether the orchestrator is told of models that were stopped: it stops their nodes, and tells
            their participants why. False for a dry run.

    Raises:
        GameError: The crunch id is empty.
    """

    def __init__(
        self,
        crunch_id: str,
        *,
        host: str = "localhost",
        port: int = 9091,
        credentials: Credentials | None = None,
        report_failures: bool = True,
    ) -> None:
        if not crunch_id:
            raise GameError("the crunch id is empty; give the id that the orchestrator knows the game by")
        self.crunch_id = crunch_id
        self.url = f"ws://{written(host, port)}/{quote(crunch_id, safe='')}"
        self._report_failures = report_failures
        self._host = NodeHost(credentials)
        self._announced = Announcements()
        self._reports = Reports()
        self._changed = asyncio.Event()
        self._reports_changed = asyncio.Event()
        self._tell: Callable[[RosterLost | RosterFound], None] = lambda event: None
        self._attempt = 0
        self._lost = False
        self._initialized = False

    def host(self) -> Host:
        """Return the host that asks the models' nodes."""
        return self._host

    def listen(self, tell: Callable[[RosterLost | RosterFound], None]) -> None:
        """Call `tell` whenever the orchestrator is lost or found from now on."""
        self._tell = tell

    def stopped(self, submission: Submission, cause: Cause, reason: str, fault: Fault | None) -> None:
        """Report to the orchestrator that a deployment is out, and again until it no longer announces it."""
        if self._report_failures:
            code = _CODES[cause]
            if cause is Cause.NOT_LOADED and fault is not None:
                code = _LOAD_CODES.get(fault.kind, code)
            self._reports.add(submission, code, reason)
            self._reports_changed.set()

    def started(self, submission: Submission) -> None:
        """Report a model no more, since it is loaded again."""
        self._reports.withdraw(submission.id)

    async def follow(self) -> AsyncGenerator[Mapping[str, Submission]]:
        """Yield the models that run, now and after every change.

        Raises:
            UsageError: The event loop is not asyncio's.
            GameError: The orchestrator refuses the crunch id.
        """
        need_asyncio()
        connecting = asyncio.get_running_loop().create_task(self._stay_connected())
        connecting.add_done_callback(lambda task: self._changed.set())
        try:
            with anyio.move_on_after(_FIRST_FRAME_TIMEOUT):
                await self._changed.wait()
            while True:
                self._changed.clear()
                if connecting.done():
                    connecting.result()
                yield self._announced.snapshot()
                await self._changed.wait()
        finally:
            connecting.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([connecting])

    async def _stay_connected(self) -> None:
        while True:
            try:
                async with connect(self.url, **_OPTIONS) as socket:
                    await self._use_connection(socket)
                trouble = "the orchestrator closed the connection"
            except (OSError, WebSocketException, TimeoutError) as error:
                trouble = str(error) or type(error).__name__
            if not self._lost:
                self._lost = True
                self._tell(RosterLost(f"{self.url}: {shortened(trouble)}"))
            await asyncio.sleep(backoff.delay(self._attempt))
            self._attempt += 1

    async def _use_connection(self, socket: ClientConnection) -> None:
        """Apply what the orchestrator announces and send it reports, until the connection ends."""
        reporting = asyncio.get_running_loop().create_task(self._report(socket))
        try:
            async for message in socket:
                self._apply(message)
        finally:
            reporting.cancel()
            await asyncio.wait([reporting])
            await socket.close()

    def _apply(self, message: str | bytes) -> None:
        try:
            frame = IncomingFrame.read(message)
        except msgspec.MsgspecError as error:
            self._warn_unreadable(str(error))
            return
        if frame.error is not None:
            why = shortened(frame.error)
            raise GameError(f"the orchestrator at {self.url} refuses the crunch id {self.crunch_id!r}: {why}")
        if frame.event == "init":
            self._announced.init(frame.announced(self._warn_unreadable))
            self._attempt = 0
            if self._lost:
                self._lost = False
                self._reports.found(time.monotonic())
                self._tell(RosterFound())
            # For an unknown crunch id, the orchestrator sends an empty list instead of an error.
            if not frame.data and not self._initialized:
                text = "the orchestrator at %s runs no model for the crunch id %r; is the id right?"
                logger.warning(text, self.url, self.crunch_id)
            self._initialized = True
        elif frame.event == "update":
            self._announced.update(frame.announced(self._warn_unreadable))
        self._changed.set()
        self._reports_changed.set()

    def _warn_unreadable(self, what: str) -> None:
        logger.warning("the orchestrator at %s sent what cannot be read: %s", self.url, shortened(what))

    async def _report(self, socket: ClientConnection) -> None:
        """Send what is to be reported whenever it is due, one after the other, as long as the connection lasts."""
        with suppress(ConnectionClosed):
            while True:
                self._reports_changed.clear()
                wait = None
                if self._initialized and not self._lost:
                    while (due := self._reports.next(self._announced.playing, time.monotonic())) is not None:
                        await self._send(socket, due)
                    wait = self._reports.wait(time.monotonic())
                with anyio.move_on_after(wait):
                    await self._reports_changed.wait()

    async def _send(self, socket: ClientConnection, due: DueReport) -> None:
        report = due.report
        try:
            message = report_message(report)
        except ValueError as error:
            model_id = shortened(report.model_id)
            logger.warning("the model %s cannot be reported to the orchestrator at %s: %s", model_id, self.url, error)
            self._reports.withdraw(report.model_id)
            return
        await socket.send(message)
        self._reports.made(report.model_id, time.monotonic())
        if due.number == 2:
            text = "the orchestrator at %s still announces %s, which was reported as %s; it is told again, ever later"
            logger.warning(text, self.url, report.model_id, report.failure_code)


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
        return {
            model_id: dataclasses.replace(list(deployments.values())[-1].submission, sole=len(deployments) == 1)
            for model_id, deployments in self._running.items()
        }

    def playing(self, model_id: str) -> Announced | None:
        """Return the deployment of the model that plays; None if none runs."""
        deployments = self._running.get(model_id)
        return list(deployments.values())[-1] if deployments else None


_OPTIONS: Final[Mapping[str, Any]] = {
    "open_timeout": 5,
    "ping_interval": 10,
    "ping_timeout": 10,
    "max_size": 2**26,
    "close_timeout": _FAREWELL_SECONDS,
}

# The orchestrator's codes for why a model is out.
_CODES: Final[Mapping[Cause, str]] = {
    Cause.FAILURES: "MULTIPLE_FAILED",
    Cause.TIMEOUTS: "MULTIPLE_TIMEOUT",
    Cause.UNREACHABLE: CONNECTION_FAILED,
    Cause.NOT_LOADED: "MULTIPLE_FAILED",
    Cause.AUTHOR: "LOW_PERFORMANCE",
}
_LOAD_CODES: Final[Mapping[str, str]] = {
    "BAD_IMPLEMENTATION": "BAD_IMPLEMENTATION",
    "timeout": "MULTIPLE_TIMEOUT",
    "unreachable": CONNECTION_FAILED,
    "refused": CONNECTION_FAILED,
}
