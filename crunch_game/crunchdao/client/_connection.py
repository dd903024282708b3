"""The connection to one model node: a channel that reconnects, and verifies whose node it is."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import anyio
import grpc

from crunch_game.crunchdao.client._credentials import Credentials, Insecure, Secured, speaks_tls
from crunch_game.crunchdao.client._requests import LOOK
from crunch_game.crunchdao.protocol import CALL, MAX_MESSAGE, REST, SETUP, Empty, written
from crunch_game.models import Submission
from crunch_game.sources import NodeSource

_OPTIONS: Final = (
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    # Waits between attempts to connect, to which gRPC adds 20 % of jitter. One attempt may take two seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 400),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    # Nodes allow one ping in five minutes. Data that is not acknowledged within two seconds ends the connection.
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.client_idle_timeout_ms", 2**31 - 1),
    # Channels to one address share nothing, so that a new one does not inherit the wait of an old one.
    ("grpc.use_local_subchannel_pool", 1),
)

_CLOSE_TIMEOUT: Final = 1.0
"""Seconds in which gRPC notices that a channel was closed."""

_MODEL_ERRORS: Final = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.RESOURCE_EXHAUSTED)
"""Errors that may count against a model, so that their sender must be verified."""


class Connection:
    """The connection to the node of one submission.

    Args:
        submission: Its source is the "host:port" of its node.
        credentials: How the connection is secured; None is not at all.

    Attributes:
        trouble: Why the last attempt to reach the node failed.

    Raises:
        ValueError: The source is not an address.
    """

    def __init__(self, submission: Submission, credentials: Credentials | None) -> None:
        self.address = self.host, self.port = address_of(submission)
        self.trouble = "it does not answer"
        self._submission = submission
        self._credentials = credentials or Insecure()
        self._secured = Secured()
        self._channel: grpc.aio.Channel | None = None
        self._watch: asyncio.Task[None] | None = None
        self._calls: dict[str, Any] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Make a channel, unless there is one that is connected or will reconnect by itself.

        Raises:
            Refused: The node is not the one that was announced, or refuses us.
            OSError: It cannot be reached.
        """
        if self.is_ready or (self._channel is not None and not self._credentials.pinned):
            return
        secured = await self._credentials.secure(self.host, self.port, self._submission)
        target = written(self.host, self.port)
        options = [*_OPTIONS, *secured.options]
        self._close_channel()
        if secured.channel is None:
            self._channel = grpc.aio.insecure_channel(target, options)
        else:
            self._channel = grpc.aio.secure_channel(target, secured.channel, options)
        self._secured = secured
        self._calls = {path: self._channel.unary_unary(path) for path in (SETUP, CALL, REST)}

    async def request(
        self, path: str, message: bytes, *, timeout: float | None = None, wait_for_ready: bool = False
    ) -> bytes:
        """Send a message, and return the bytes of the answer.

        Raises:
            AioRpcError: The node did not answer.
            Refused: The node is not the one that was announced. Its answer is ignored.
        """
        secured = self._secured
        call = self._calls[path](
            message, timeout=timeout, metadata=secured.metadata(), wait_for_ready=wait_for_ready or None
        )
        if secured.verify is None:
            return await _answer(call)
        try:
            answer = await _answer(call)
        except grpc.aio.AioRpcError as error:
            if error.code() in _MODEL_ERRORS:
                secured.verify(error.initial_metadata())
            raise
        secured.verify(await call.initial_metadata())
        return answer

    async def look(self, timeout: float, *, wait_for_ready: bool) -> bytes:
        """Call without a method name, which the node refuses without asking its model: a check that it answers."""
        return await self.request(CALL, LOOK, timeout=timeout, wait_for_ready=wait_for_ready)

    async def rest(self, timeout: float) -> None:
        """Make the node end its instance."""
        await self.request(REST, Empty().SerializeToString(), timeout=timeout)

    @property
    def is_ready(self) -> bool:
        """Whether the node is connected."""
        return self._channel is not None and self._channel.get_state() is grpc.ChannelConnectivity.READY

    async def wants_credentials(self, error: grpc.aio.AioRpcError) -> bool:
        """Whether this error of a plain-text connection is because the node expects TLS."""
        if not isinstance(self._credentials, Insecure) or error.code() is not grpc.StatusCode.UNAVAILABLE:
            return False
        return "Connection refused" not in (error.details() or "") and await speaks_tls(self.host, self.port)

    async def dropped(self) -> None:
        """Wait until the connection is lost."""
        while self.is_ready and self._channel is not None:
            if self._watch is None or self._watch.done():
                change = self._channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
                self._watch = asyncio.get_running_loop().create_task(change)
            await asyncio.wait([self._watch])

    async def close(self) -> None:
        """Close the channel. Calls that are under way fail."""
        self._close_channel()
        self._calls = {}
        if self._closing:
            with anyio.CancelScope(shield=True):
                await asyncio.wait(self._closing)

    def _close_channel(self) -> None:
        """Close the channel in the background, so that a new one can be used at once."""
        if self._channel is not None:
            task = asyncio.get_running_loop().create_task(_shut(self._channel, self._watch))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._channel = self._watch = None


async def _shut(channel: grpc.aio.Channel, watch: asyncio.Task[None] | None) -> None:
    await channel.close()
    if watch is not None:  # gRPC cannot cancel it, and it must end before the event loop does
        await asyncio.wait([watch], timeout=_CLOSE_TIMEOUT)


async def _answer(call: Any) -> bytes:
    """Await a call. If its channel was closed, raise an error: gRPC would cancel the caller instead."""
    try:
        return bytes(await call)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            # The caller is cancelled. gRPC has raised a CancelledError of its own, without the message by which anyio
            # tells which cancel scope it is for. So let anyio raise it again.
            await anyio.lowlevel.checkpoint_if_cancelled()
            raise
        none = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, none, none, "the connection was closed") from None


def address_of(submission: Submission) -> tuple[str, int]:
    """Return the host and the port of a submission's node.

    Raises:
        ValueError: Its source is not "host:port".
    """
    source = submission.source
    if not isinstance(source, NodeSource):
        raise ValueError(f'its source is {str(source)!r}; the address of a model node is "host:port"')
    return source.host, source.port
