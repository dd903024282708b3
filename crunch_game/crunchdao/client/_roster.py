"""CrunchRoster: the models that CrunchDAO's orchestrator announces over its WebSocket."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
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
from crunch_game.crunchdao.protocol import (
    CONNECTION_FAILED,
    Announced,
    FailureReport,
    FailureReportFrame,
    IncomingFrame,
    RunState,
    written,
)
from crunch_game.errors import GameError
from crunch_game.events import RosterFound, RosterLost
from crunch_game.hosts.base import Host
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Cause

logger = logging.getLogger("crunch_game")

_FIRST_FRAME_TIMEOUT: Final = 5.0
"""Seconds to wait for the orchestrator's first frame; after that the game begins without models."""


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
        self._reports: deque[tuple[Submission, str, str]] = deque()
        self._changed = asyncio.Event()
        self._reports_waiting = asyncio.Event()
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
        """Report to the orchestrator that a deployment is out."""
        if self._report_failures:
            code = _CODES[cause]
            if cause is Cause.NOT_LOADED and fault is not None:
                code = _LOAD_CODES.get(fault.kind, code)
            self._reports.append((submission, code, reason))
            self._reports_waiting.set()

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
                self._tell(RosterLost(f"{self.url}: {trouble}"))
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
            raise GameError(f"the orchestrator at {self.url} refuses the crunch id {self.crunch_id!r}: {frame.error}")
        if frame.event == "init":
            self._announced.init(frame.announced(self._warn_unreadable))
            self._attempt = 0
            if self._lost:
                self._lost = False
                self._tell(RosterFound())
            # For an unknown crunch id, the orchestrator sends an empty list instead of an error.
            if not frame.data and not self._initialized:
                text = "the orchestrator at %s runs no model for the crunch id %r; is the id right?"
                logger.warning(text, self.url, self.crunch_id)
            self._initialized = True
            self._reports_waiting.set()
        elif frame.event == "update":
            self._announced.update(frame.announced(self._warn_unreadable))
        self._changed.set()

    def _warn_unreadable(self, what: str) -> None:
        logger.warning("the orchestrator at %s sent what cannot be read: %s", self.url, what)

    async def _report(self, socket: ClientConnection) -> None:
        """Send the reports of deployments that the orchestrator still announces."""
        with suppress(ConnectionClosed):
            while True:
                await self._reports_waiting.wait()
                self._reports_waiting.clear()
                while self._reports and self._initialized and not self._lost:
                    submission, code, reason = self._reports[0]
                    announced = self._announced.find(submission.id, submission.deployment_id)
                    if announced is not None:
                        report = FailureReport(
                            model_id=announced.model_id, failure_code=code, failure_reason=reason, ip=announced.ip
                        )
                        # One report a frame: if one matches no model, the orchestrator drops those after it.
                        frame = FailureReportFrame("report_failure", [report])
                        await socket.send(msgspec.json.encode(frame).decode())
                    self._reports.popleft()


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


_OPTIONS: Final[Mapping[str, Any]] = {
    "open_timeout": 5,
    "ping_interval": 10,
    "ping_timeout": 10,
    "max_size": 2**26,
    "close_timeout": 1,
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
