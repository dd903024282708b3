"""A model node: one submission served over gRPC as CrunchDAO's coordinators want it, with health that is true."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from crunch_game.crunchdao.addresses import check, is_loopback, written
from crunch_game.crunchdao.identity import AttestationInterceptor, NodeIdentity
from crunch_game.crunchdao.messages import (
    CALL,
    MAX_MESSAGE,
    REST,
    SERVICE,
    SETUP,
    CallRequest,
    Code,
    Empty,
    SetupRequest,
)
from crunch_game.crunchdao.served import Served
from crunch_game.crunchdao.workplace import Workplace
from crunch_game.errors import ResourceError
from crunch_game.models import Submission
from crunch_game.outcomes import Fault

__all__ = ["ModelNode"]

logger = logging.getLogger("crunch_game")

_OPTIONS: Final = [
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.so_reuseport", 0),  # else a second node on the same port would take half of the calls
]
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class ModelNode:
    """Serves one submission: Setup makes its instance, Call asks it, one call at a time, and Rest forgets it.

    On asyncio. The instance runs in a process of the workplace. Health is NOT_SERVING from the moment that this process
    ended by itself until the next Setup has made a fresh instance.

    Args:
        submission: The code.
        workplace: Where it runs; entered, and left, by the caller.
        identity: Who the node is, and whom it lets in; without one it speaks plain text with everyone.
        setup_timeout: Seconds for loading.
        call_timeout: Seconds after which a call is ended, and the model's process with it; the deadline of a caller
            only ends his waiting.
        tell: Told in sentences what happens to the model, tracebacks too.
        on_end: Called with the fault when the instance's process ended by itself.

    Raises:
        ResourceError: Coordinators would not believe the identity.
    """

    def __init__(
        self,
        submission: Submission,
        workplace: Workplace,
        *,
        identity: NodeIdentity | None = None,
        setup_timeout: float = 60.0,
        call_timeout: float = 120.0,
        tell: Callable[[str], None] = lambda sentence: None,
        on_end: Callable[[Fault], None] = lambda fault: None,
    ) -> None:
        self.submission = submission
        self.port = 0
        self._identity = identity
        if identity is not None:
            identity.check(submission.id)
        self.served = Served(
            submission,
            workplace,
            setup_timeout=setup_timeout,
            call_timeout=call_timeout,
            tell=tell,
            on_end=self._lost,
        )
        self._on_end = on_end
        self._server: Any = None
        self._health: Any = None
        self._work: asyncio.Task[Any] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._chores: set[asyncio.Task[Any]] = set()

    async def open(self, host: str = "127.0.0.1", port: int = 0, *, warn: bool = True) -> None:
        """Listen; `port` 0 takes a free one. Unless told otherwise it warns when strangers can reach it.

        Raises:
            ResourceError: The address cannot be had.
        """
        self._health = health.aio.HealthServicer()
        identity = self._identity
        attestation = identity.attestation if identity is not None else None
        interceptors = [AttestationInterceptor(attestation)] if attestation is not None else []
        server = grpc.aio.server(options=_OPTIONS, interceptors=interceptors)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        server.add_generic_rpc_handlers((self._handlers(),))
        address = written(host, port)
        check("node", host, port)
        try:
            if identity is None:
                self.port = server.add_insecure_port(address)
            else:
                self.port = server.add_secure_port(address, identity.server_credentials())
        except RuntimeError as error:
            raise ResourceError(f"the node cannot listen on {address}: {error}") from None
        if warn and identity is None and not is_loopback(host):
            address = written(host, self.port)
            logger.warning("the node of %s listens on %s, and asks nobody who he is", self.submission.id, address)
        await self._set_health(_SERVING)
        await server.start()
        self._server = server

    async def close(self, grace: float | None = None) -> None:
        """Stop serving, and end the instance. Answers under way have `grace` seconds; without, they are cut off."""
        if self._server is not None:
            server, self._server = self._server, None
            self._closing = asyncio.create_task(self._close(server, grace))
        if self._closing is not None:
            await asyncio.shield(self._closing)  # it is done to its end, whoever gives up waiting for it

    async def _close(self, server: Any, grace: float | None) -> None:
        await self._health.enter_graceful_shutdown()
        await server.stop(grace)
        if self._work is not None:
            self._work.cancel()
        await asyncio.gather(*filter(None, (self._work, *self._chores)), return_exceptions=True)
        await self.served.close()

    def _handlers(self) -> Any:
        def unary(behavior: Callable[[Any, Any], Awaitable[Any]], request: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(
                behavior,
                request_deserializer=request.FromString,
                response_serializer=lambda response: response.SerializeToString(),
            )

        handlers = {
            SETUP: unary(self._setup, SetupRequest),
            CALL: unary(self._call, CallRequest),
            REST: unary(self._rest, Empty),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE, {path.rpartition("/")[2]: handler for path, handler in handlers.items()}
        )

    async def _setup(self, request: Any, context: Any) -> Any:
        response = await self._alone(context, lambda: self.served.setup(request))
        self.served.told()
        if response.status.code == Code.SUCCESS:
            await self._set_health(_SERVING)
        return response

    async def _call(self, request: Any, context: Any) -> Any:
        return await self._alone(context, lambda: self.served.call(request))

    async def _rest(self, request: Any, context: Any) -> Any:
        return await self._alone(context, self.served.rest)

    async def _alone(self, context: Any, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Do one thing at a time. It is done to its end, even when the caller has gone."""
        if self._work is not None:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server busy")
        self._work = asyncio.create_task(work())
        self._work.add_done_callback(self._free)
        return await asyncio.shield(self._work)

    def _free(self, work: asyncio.Task[Any]) -> None:
        self._work = None
        if not work.cancelled():
            work.exception()  # if nobody waits for it any more, nobody is surprised by it

    def _lost(self, fault: Fault) -> None:
        self._do(self._set_health(_NOT_SERVING))
        self._on_end(fault)

    async def _set_health(self, status: Any) -> None:
        for service in ("", SERVICE):
            await self._health.set(service, status)

    def _do(self, chore: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
