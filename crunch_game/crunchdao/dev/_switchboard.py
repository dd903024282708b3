"""The WebSocket server of a development orchestrator: it announces to coordinators, and receives their reports."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Literal
from urllib.parse import unquote

import anyio
import msgspec
from msgspec.structs import replace
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from crunch_game.crunchdao.protocol import (
    Announced,
    AnnouncementFrame,
    FailureReport,
    FailureReportFrame,
    check,
    is_unspecified,
)
from crunch_game.faults import shortened

logger = logging.getLogger("crunch_game")

_quiet = logger.getChild("websockets")
_quiet.addFilter(lambda record: record.msg != "opening handshake failed")  # a port scan is no trouble

_encode = msgspec.json.Encoder().encode
_reports = msgspec.json.Decoder(FailureReportFrame)
_FAREWELL_SECONDS: Final = 0.25
"""For those who are connected to say goodbye, once the server closes."""
_NO_CRUNCH = '{"error": "crunch_id is required and is expected in the path as /<crunch_id>"}'


class Switchboard:
    """The connections to the coordinators of one crunch. On asyncio.

    Args:
        crunch_id: The crunch. A coordinator of another one gets an empty `init`, as from CrunchDAO's orchestrator.
        running: Returns the deployments that run now, for the `init` of a new connection.
        on_report: Called for each model that a coordinator gave up; returns whether there is such a model.
    """

    def __init__(
        self,
        crunch_id: str,
        running: Callable[[], Sequence[Announced]],
        on_report: Callable[[FailureReport], bool],
    ) -> None:
        self.crunch_id = crunch_id
        self.port = 0
        self._running = running
        self._on_report = on_report
        self._server: Server | None = None
        self._transports: set[asyncio.Transport] = set()
        """Every connection from its first byte on, though it may never become a WebSocket."""
        self._ours: set[ServerConnection] = set()

    @property
    def coordinators(self) -> int:
        """How many coordinators of this crunch are connected."""
        return len(self._ours)

    async def open(self, host: str, port: int) -> None:
        """Listen; `port` 0 takes a free one.

        Raises:
            ResourceError: The address cannot be had.
        """
        check("orchestrator", host, port)
        # No ping timeout: a coordinator whose own code blocks it for a minute must not be dropped. No origin, which
        # only browsers send: a web page must not talk to a local orchestrator.
        connection: Any = partial(_TrackedConnection, self._transports)  # annotated as a class, but only called
        self._server = await serve(
            self._serve,
            host,
            port,
            origins=[None],
            ping_timeout=None,
            logger=_quiet,
            create_connection=connection,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    def tell(self, *announcements: Announced) -> None:
        """Send every coordinator each of these changes in a frame of its own, without waiting."""
        for announcement in announcements:
            for connection in self._ours:
                _send(connection, "update", [announcement])

    def drop(self) -> None:
        """Break every connection, without closing it properly."""
        for transport in list(self._transports):
            transport.abort()
        self._ours.clear()

    async def close(self) -> None:
        """Stop listening, and close every connection; whoever does not say goodbye at once is cut off."""
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            with anyio.move_on_after(_FAREWELL_SECONDS):
                await server.wait_closed()
                return
            self.drop()
            await server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        crunch_id = unquote(connection.request.path.partition("?")[0]).strip("/")
        try:
            if not crunch_id:
                await connection.send(_NO_CRUNCH)
                return
            known = crunch_id == self.crunch_id
            if known:
                # Nothing is awaited between the two: no change is sent before `init`, and none is missed after it.
                _send(connection, "init", self._running())
                self._ours.add(connection)
            else:
                logger.warning(
                    "a coordinator asks for the crunch %r; the models here are of %r", crunch_id, self.crunch_id
                )
                _send(connection, "init", [])
            async for message in connection:
                self._receive(message, known=known)
        except ConnectionClosed:
            pass
        finally:
            self._ours.discard(connection)

    def _receive(self, message: str | bytes, *, known: bool) -> None:
        try:
            reports = _reports.decode(message).data
        except msgspec.MsgspecError as error:
            logger.warning("a coordinator sent what is no report of a failure: %s", shortened(str(error)))
            return
        for position, report in enumerate(reports, start=1):
            if not known or not self._on_report(report):
                dropped = len(reports) - position
                logger.warning(
                    "a coordinator gave up the model %r at %r, and there is none; %d further reports are dropped",
                    shortened(report.model_id),
                    shortened(str(report.ip)),
                    dropped,
                )
                return  # as CrunchDAO's orchestrator does


class _TrackedConnection(ServerConnection):
    """A connection that can be cut off from its first byte on: `websockets` waits for those that say nothing."""

    def __init__(self, transports: set[asyncio.Transport], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transports.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transports.discard(self.transport)
        super().connection_lost(exc)


def _send(connection: ServerConnection, event: Literal["init", "update"], announcements: Sequence[Announced]) -> None:
    """Send a frame without waiting. For a node that listens on all addresses, announce the one of this connection."""
    here = connection.local_address[0]
    data = [replace(each, ip=here) if is_unspecified(each.ip) else each for each in announcements]
    broadcast([connection], _encode(AnnouncementFrame(event, data)).decode())
