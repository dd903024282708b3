"""The connection to one model node: a channel that finds its node again, and proves whose node it is."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import anyio
import grpc

from crunch_game.crunchdao.addresses import written
from crunch_game.crunchdao.credentials import Credentials, Insecure, Secured, speaks_tls
from crunch_game.crunchdao.messages import CALL, MAX_MESSAGE, REST, SETUP, Empty
from crunch_game.crunchdao.requests import LOOK
from crunch_game.models import Submission
from crunch_game.sources import NodeSource

__all__ = ["Connection", "address_of"]

_OPTIONS: Final = (
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    # Waits between attempts to connect; gRPC adds a fifth of jitter. An attempt itself may take two seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 400),
    ("grpc.min_reconnect_backoff_ms", 2_000),
    # Nodes allow a ping every five minutes. What was sent and is not acknowledged is noticed after two seconds.
    ("grpc.keepalive_time_ms", 300_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.client_idle_timeout_ms", 2**31 - 1),
    # Connections to one address know nothing of each other: a new one does not wait as long as an old one would.
    ("grpc.use_local_subchannel_pool", 1),
)

_LINGER: Final = 1.0
"""Seconds at most that gRPC needs to notice that a channel was closed."""

_ITS_WORD: Final = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.RESOURCE_EXHAUSTED)
"""Errors that may be held against a model: whose node says so must be known."""


class Connection:
    """The connection to the node of one submission.

    Args:
        submission: Whose node; its source is the node's "host:port".
        credentials: How it is secured.

    Raises:
        ValueError: The source is no address.
    """

    def __init__(self, submission: Submission, credentials: Credentials | None) -> None:
        self.address = self.host, self.port = address_of(submission)
        self.trouble = "it does not answer"
        """Why it could not be reached when that was last tried."""
        self._submission = submission
        self._credentials = credentials or Insecure()
        self._secured = Secured()
        self._channel: grpc.aio.Channel | None = None
        self._watch: asyncio.Task[None] | None = None
        self._calls: dict[str, Any] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Make the channel, unless there is one that is connected, or finds its node again by itself.

        Raises:
            Refused: The node is not the one that was announced, or refuses us.
            OSError: It cannot be reached.
        """
        if self.is_ready or (self._channel is not None and not self._credentials.pinned):
            return
        secured = await self._credentials.secure(self.host, self.port, self._submission)
        target = written(self.host, self.port)
        options = [*_OPTIONS, *secured.options]
        self._let_go()
        if secured.channel is None:
            self._channel = grpc.aio.insecure_channel(target, options)
        else:
            self._channel = grpc.aio.secure_channel(target, secured.channel, options)
        self._secured = secured
        self._calls = {path: self._channel.unary_unary(path) for path in (SETUP, CALL, REST)}

    async def request(
        self, path: str, message: bytes, *, timeout: float | None = None, wait_for_ready: bool = False
    ) -> bytes:
        """Send a message, and give back the answer's bytes.

        Raises:
            AioRpcError: The node did not answer.
            Refused: It is not the one that was announced; its answer is not read.
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
            if error.code() in _ITS_WORD:
                secured.verify(error.initial_metadata())
            raise
        secured.verify(await call.initial_metadata())
        return answer

    async def look(self, timeout: float, *, wait_for_ready: bool) -> bytes:
        """Ask for no method, which the node answers without its model.

        Raises:
            AioRpcError: The node did not answer.
            Refused: It is not the one that was announced.
        """
        return await self.request(CALL, LOOK, timeout=timeout, wait_for_ready=wait_for_ready)

    async def rest(self, timeout: float) -> None:
        """Have the node end its instance.

        Raises:
            AioRpcError: The node did not answer.
            Refused: It is not the one that was announced.
        """
        await self.request(REST, Empty().SerializeToString(), timeout=timeout)

    @property
    def is_ready(self) -> bool:
        """Whether the node is connected."""
        return self._channel is not None and self._channel.get_state() is grpc.ChannelConnectivity.READY

    async def wants_credentials(self, error: grpc.aio.AioRpcError) -> bool:
        """Whether a node that does not understand plain text would understand TLS."""
        if not isinstance(self._credentials, Insecure) or error.code() is not grpc.StatusCode.UNAVAILABLE:
            return False
        return "Connection refused" not in (error.details() or "") and await speaks_tls(self.host, self.port)

    async def dropped(self) -> None:
        """Wait until the node is not connected."""
        while self.is_ready and self._channel is not None:
            if self._watch is None or self._watch.done():
                change = self._channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
                self._watch = asyncio.get_running_loop().create_task(change)
            await asyncio.wait([self._watch])

    async def close(self) -> None:
        """Close the channel; what is under way fails."""
        self._let_go()
        self._calls = {}
        if self._closing:
            with anyio.CancelScope(shield=True):
                await asyncio.wait(self._closing)

    def _let_go(self) -> None:
        """Close the channel in the background: calls that go out meanwhile are the next one's."""
        if self._channel is not None:
            task = asyncio.get_running_loop().create_task(_shut(self._channel, self._watch))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._channel = self._watch = None


async def _shut(channel: grpc.aio.Channel, watch: asyncio.Task[None] | None) -> None:
    await channel.close()
    if watch is not None:  # gRPC cannot cancel it, and must not end it after the event loop
        await asyncio.wait([watch], timeout=_LINGER)


async def _answer(call: Any) -> bytes:
    """The answer to a call; that its channel was closed is an error of the call, and no cancellation of its caller."""
    try:
        return bytes(await call)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            # It is the caller who is cancelled. gRPC has cancelled once more, and so has lost what tells anyio whose
            # cancellation it is: let it say so itself, or no cancel scope would know its own.
            await anyio.lowlevel.checkpoint_if_cancelled()
            raise
        none = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, none, none, "the connection was closed") from None


def address_of(submission: Submission) -> tuple[str, int]:
    """The host and the port of a submission's node.

    Raises:
        ValueError: Its source is no "host:port".
    """
    source = submission.source
    if not isinstance(source, NodeSource):
        raise ValueError(f'its source is {str(source)!r}; the address of a model node is "host:port"')
    return source.host, source.port
