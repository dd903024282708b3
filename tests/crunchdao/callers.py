"""What tests of the network need: a caller that knows nothing but the protocol, and an ear for what is told."""

from __future__ import annotations

import asyncio
from typing import Any, Self

import anyio
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from crunch_game.crunchdao.protocol import _messages as messages
from crunch_game.crunchdao.protocol import _variants as variants

PATIENCE = 60
"""Seconds after which what a test waits for is taken to never come."""

EXIT_3 = "exit code 3; something in it called os._exit, or native code called exit"
"""How a model's process ends that calls os._exit(3)."""

LIMITS = [("grpc.max_send_message_length", 80 << 20), ("grpc.max_receive_message_length", 80 << 20)]


class Caller:
    """A channel to a node."""

    def __init__(self, port: int, credentials: Any = None, options: Any = ()) -> None:
        options = [*LIMITS, *options]
        target = f"127.0.0.1:{port}"
        self.channel = (
            grpc.aio.insecure_channel(target, options)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, options)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.channel.close()

    def _ask(self, path: str, request: Any, response: Any, timeout: float | None) -> Any:
        method = self.channel.unary_unary(
            path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        return method(request, timeout=timeout, wait_for_ready=True)

    def setup(self, class_name: str = "arena.Base", *args: Any, timeout: float | None = 60, **kwargs: Any) -> Any:
        """The response of Setup, to be awaited."""
        request = messages.SetupRequest(
            className=class_name,
            instanceArguments=variants.arguments(args),
            instanceKwArguments=variants.keywords(kwargs),
        )
        return self._ask(messages.SETUP, request, messages.SetupResponse, timeout)

    def call(self, method: str, *args: Any, timeout: float | None = 60, **kwargs: Any) -> Any:
        """The response of Call, to be awaited."""
        request = messages.CallRequest(
            methodName=method,
            methodArguments=variants.arguments(args),
            methodKwArguments=variants.keywords(kwargs),
        )
        return self._ask(messages.CALL, request, messages.CallResponse, timeout)

    def rest(self) -> Any:
        """The response of Rest, to be awaited."""
        return self._ask(messages.REST, messages.Empty(), messages.RestResponse, 60)

    async def health(self, service: str = "") -> str:
        """What the node says of itself."""
        request = health_pb2.HealthCheckRequest(service=service)
        response = await health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=60, wait_for_ready=True)
        return health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)


def said(response: Any) -> tuple[str, str]:
    """The code and the message of a response's status."""
    return response.status.code, response.status.message


def answer(response: Any) -> Any:
    """The value of a call that succeeded."""
    assert response.status.code == "SUCCESS", response
    return variants.decode(response.methodResponse) if response.HasField("methodResponse") else None


class Ear:
    """What an orchestrator told, to be awaited."""

    def __init__(self) -> None:
        self.events: asyncio.Queue = asyncio.Queue()

    def __call__(self, event) -> None:
        self.events.put_nowait(event)

    async def next(self, kind):
        """The next event of that kind."""
        with anyio.fail_after(PATIENCE):
            while not isinstance(event := await self.events.get(), kind):
                pass
        return event
