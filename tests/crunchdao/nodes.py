"""Model nodes on loopback: the published one in a process, and one in the test, whose every answer can be bent."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from crunch_game.crunchdao.protocol import _messages as m
from crunch_game.crunchdao.protocol import encode, values


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Node:
    """A model node with the behaviour of crunch-model-runner 0.4.2, around a model made by the test."""

    def __init__(self, make: Callable[..., Any], port: int = 0) -> None:
        self.make = make
        self.port = port or free_port()
        self.instance: Any = None
        self.setups: list[Any] = []
        self.calls: list[tuple[str, list[Any], dict[str, Any]]] = []
        self.rests = 0
        self.looks = 0
        self.requests: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.credentials: grpc.ServerCredentials | None = None
        self.headers: tuple[tuple[str, str], ...] = ()
        self.options: list[tuple[str, Any]] = []
        self.refuse: str | None = None
        self.bend: Callable[[Any, grpc.aio.ServicerContext], Any] | None = None
        """Takes a Call and its context instead of the model; what it returns is the answer."""
        self.lost_setups = 0
        """How many more instances are made without an answer, as if the connection had been lost meanwhile."""
        self.busy = asyncio.Lock()
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        limits = [("grpc.max_send_message_length", m.MAX_MESSAGE), ("grpc.max_receive_message_length", m.MAX_MESSAGE)]
        self._server = grpc.aio.server(options=[*limits, ("grpc.so_reuseport", 0), *self.options])
        handlers = {
            "Setup": (self._set_up, m.SetupRequest, m.SetupResponse),
            "Call": (self._call, m.CallRequest, m.CallResponse),
            "Rest": (self._rest, m.Empty, m.RestResponse),
        }
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    m.SERVICE,
                    {
                        name: grpc.unary_unary_rpc_method_handler(
                            function, request.FromString, response.SerializeToString
                        )
                        for name, (function, request, response) in handlers.items()
                    },
                )
            ]
        )
        if self.credentials is None:
            self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        else:
            self._server.add_secure_port(f"127.0.0.1:{self.port}", self.credentials)
        await self._server.start()

    async def kill(self) -> None:
        """End at once, and forget the instance."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None
        self.instance = None
        self.busy = asyncio.Lock()

    async def restart(self) -> None:
        """Behind the same port, without an instance."""
        await self.kill()
        await self.start()

    async def _greet(self, context: grpc.aio.ServicerContext) -> None:
        self.metadata.append(dict(context.invocation_metadata() or ()))
        if self.headers:
            await context.send_initial_metadata(self.headers)
        if self.refuse is not None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, self.refuse)
        if self.busy.locked():
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server busy")

    async def _set_up(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await self._greet(context)
        async with self.busy:
            self.setups.append(request)
            if self.instance is not None:
                return m.SetupResponse(status=m.Status(code=m.ReplyCode.SUCCESS, message=m.EXISTS))
            args, kwargs = values(request.instanceArguments, request.instanceKwArguments)
            try:
                made = self.make(*args, **kwargs)
                self.instance = await made if asyncio.iscoroutine(made) else made
            except ImportError as error:
                return m.SetupResponse(status=m.Status(code=m.ReplyCode.BAD_IMPLEMENTATION, message=error.msg))
            except Exception as error:  # noqa: BLE001 - as the published node does
                return m.SetupResponse(status=m.Status(code=m.ReplyCode.SETUP_FAILED, message=str(error)))
            if self.lost_setups:
                self.lost_setups -= 1
                await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            return m.SetupResponse(status=m.Status(code=m.ReplyCode.SUCCESS, message=m.CREATED))

    async def _call(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await self._greet(context)
        async with self.busy:
            if self.instance is None:
                return _said(m.ReplyCode.FAILED_PRECONDITION, "Setup has not been called yet")
            if not request.methodName:
                self.looks += 1
                return _said(m.ReplyCode.INVALID_ARGUMENT, "methodName cannot be empty")
            self.requests.append(request)
            if self.bend is not None:
                bent = self.bend(request, context)
                return await bent if asyncio.iscoroutine(bent) else bent
            args, kwargs = values(request.methodArguments, request.methodKwArguments)
            self.calls.append((request.methodName, args, kwargs))
            method = getattr(self.instance, request.methodName, None)
            if method is None:
                return _said(
                    m.ReplyCode.BAD_IMPLEMENTATION, f'Method "{request.methodName}" not found in class "Tracker"'
                )
            try:
                answer = method(*args, **kwargs)
                answer = await answer if asyncio.iscoroutine(answer) else answer
            except Exception as error:  # noqa: BLE001 - as the published node does
                return _said(m.ReplyCode.MODEL_FAILED, f"The model raised an exception: {error}")
            if answer is None:
                return _said(m.ReplyCode.SUCCESS)
            return m.CallResponse(status=m.Status(code=m.ReplyCode.SUCCESS), methodResponse=encode(answer))

    async def _rest(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await self._greet(context)
        async with self.busy:
            self.rests += 1
            self.instance = None
            return m.RestResponse(status=m.Status(code=m.ReplyCode.SUCCESS))


def _said(code: str, message: str = "") -> Any:
    return m.CallResponse(status=m.Status(code=code, message=message))


@asynccontextmanager
async def node(make: Callable[..., Any], port: int = 0, **attributes: Any) -> AsyncIterator[Node]:
    """One that listens."""
    one = Node(make, port)
    for name, value in attributes.items():
        setattr(one, name, value)
    await one.start()
    try:
        yield one
    finally:
        await one.kill()


class PeerNode:
    """The published crunch-model-runner 0.4.2, in a process of its own."""

    def __init__(self, python: Path, code: Path, path: Path, port: int = 0) -> None:
        self._python = python
        self._code = code
        self._path = path
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it listens some time later."""
        command = [self._python, "-m", "model_runner.server", "--address", f"127.0.0.1:{self.port}"]
        self._process = subprocess.Popen(
            [*command, "--code-directory", self._code],
            env={**os.environ, "PYTHONPATH": str(self._path)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Behind the same port."""
        self.kill()
        self.start()
