"""The WebSocket side of an orchestrator: any number of coordinators are told which models run, and report failures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from crunch_game.crunchdao.addresses import check, is_unspecified
from crunch_game.crunchdao.announcements import Announced
from crunch_game.crunchdao.frames import Report, Reported, Told

__all__ = ["Switchboard"]

logger = logging.getLogger("crunch_game")

_quiet = logger.getChild("websockets")
_quiet.addFilter(lambda record: record.msg != "opening handshake failed")  # whoever looks for open ports is no trouble

_encode = msgspec.json.Encoder().encode
_reports = msgspec.json.Decoder(Reported)
_NO_CRUNCH = '{"error": "crunch_id is required and is expected in the path as /<crunch_id>"}'


class Switchboard:
    """Speaks with the coordinators of one crunch. On asyncio.

    Args:
        crunch_id: The crunch. Whoever asks for another one gets an empty `init`, as on the network.
        running: The models that run now, for the `init` of whoever connects.
        on_report: Told of each model that a coordinator gave up; whether there is such a model.
    """

    def __init__(
        self,
        crunch_id: str,
        running: Callable[[], Sequence[Announced]],
        on_report: Callable[[Report], bool],
    ) -> None:
        self.crunch_id = crunch_id
        self.port = 0
        self._running = running
        self._on_report = on_report
        self._server: Server | None = None
        self._everyone: set[ServerConnection] = set()
        self._ours: set[ServerConnection] = set()

    @property
    def coordinators(self) -> int:
        """How many coordinators are connected, those of other crunches left out."""
        return len(self._ours)

    async def open(self, host: str, port: int) -> None:
        """Listen; `port` 0 takes a free one.

        Raises:
            ResourceError: The address cannot be had.
        """
        check("orchestrator", host, port)
        # A coordinator whose own code blocks it for a minute is not dropped for that. Only web pages have an origin.
        self._server = await serve(self._meet, host, port, origins=[None], ping_timeout=None, logger=_quiet)
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    def tell(self, *announcements: Announced) -> None:
        """Send every coordinator each of these changes, a frame for each. Nobody is waited for."""
        for announcement in announcements:
            for connection in self._ours:
                _send(connection, "update", [announcement])

    def drop(self) -> None:
        """Lose every connection at once, without a word of goodbye."""
        for connection in self._everyone:
            connection.transport.abort()
        self._ours.clear()

    async def close(self) -> None:
        """Hang up, and listen no more."""
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            await server.wait_closed()

    async def _meet(self, connection: ServerConnection) -> None:
        self._everyone.add(connection)
        try:
            await self._talk(connection)
        except ConnectionClosed:
            pass
        finally:
            self._everyone.discard(connection)
            self._ours.discard(connection)

    async def _talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        crunch_id = unquote(connection.request.path.partition("?")[0]).strip("/")
        if not crunch_id:
            await connection.send(_NO_CRUNCH)
            return
        known = crunch_id == self.crunch_id
        if not known:
            logger.warning("a coordinator asks for the crunch %r; the models here are of %r", crunch_id, self.crunch_id)
        # Nothing is awaited between the two: no change is told before `init`, and none is missed after it.
        _send(connection, "init", self._running() if known else [])
        if known:
            self._ours.add(connection)
        async for message in connection:
            self._hear(message, known=known)

    def _hear(self, message: str | bytes, *, known: bool) -> None:
        try:
            reports = _reports.decode(message).data
        except msgspec.MsgspecError as error:
            logger.warning("a coordinator sent what is no report of a failure: %s", error)
            return
        for position, report in enumerate(reports, start=1):
            if not known or not self._on_report(report):
                dropped = len(reports) - position
                logger.warning(
                    "a coordinator gave up the model %r at %r, and there is none; %d further reports are dropped",
                    report.model_id,
                    report.ip,
                    dropped,
                )
                return


def _send(connection: ServerConnection, event: Literal["init", "update"], announcements: Sequence[Announced]) -> None:
    """Send a frame, without waiting; nodes that listen on every address are where this connection found us."""
    here = connection.local_address[0]
    told = [replace(each, ip=here) if is_unspecified(each.ip) else each for each in announcements]
    broadcast([connection], _encode(Told(event, told)).decode())
