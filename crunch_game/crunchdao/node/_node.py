"""A model node: one submission, served over gRPC as CrunchDAO's coordinators expect it, with its health."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from crunch_game.crunchdao.node._identity import AttestationInterceptor, NodeIdentity
from crunch_game.crunchdao.node._service import NodeService
from crunch_game.crunchdao.node._workplace import Workplace
from crunch_game.crunchdao.protocol import (
    CALL,
    MAX_MESSAGE,
    REST,
    SERVICE,
    SETUP,
    CallRequest,
    Empty,
    ReplyCode,
    SetupRequest,
    check,
    is_loopback,
    written,
)
from crunch_game.errors import ResourceError
from crunch_game.models import Submission
from crunch_game.outcomes import Fault

logger = logging.getLogger("crunch_game")

_OPTIONS: Final = [
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.so_reuseport", 0),  # else a second node could listen on the same port, and get half of the calls
]
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class ModelNode:
    """Serves one submission: Setup makes its instance, Call asks it, one call at a time, and Rest ends it.

    On asyncio. The instance runs in a process of the workplace. Health is NOT_SERVING from the moment that this process
    ended by itself until the next Setup has made a fresh instance.

    Args:
        submission: The code.
        workplace: Where it runs; entered, and left, by the caller.
        identity: For mTLS; without one, the node speaks plain text with everyone.
        setup_timeout: Seconds for loading.
        call_timeout: Seconds for a call, after which the model's process is ended. (A client's deadline ends only
            its waiting.)
        tell: Called with sentences, and tracebacks, about what happens to the model.
        on_end: Called with the fault when the instance's process ended by itself.

    Raises:
        ResourceError: Coordinators would refuse the identity.
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
        self.service = NodeService(
            submission=submission,
            workplace=workplace,
            setup_timeout=setup_timeout,
            call_timeout=call_timeout,
            tell=tell,
            on_end=self._lost,
        )
        self._on_end = on_end
        self._server: Any = None
        self._health: Any = None
        self._request: asyncio.Task[Any] | None = None
        self._closing: tuple[Any, asyncio.Task[None]] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self, host: str = "127.0.0.1", port: int = 0, *, warn: bool = True) -> None:
        """Listen; `port` 0 takes a free one. With `warn`, log a warning if other machines can reach it.

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
        self._server = server  # from now on close() ends it, also if starting it is cancelled
        await self._set_health(_SERVING)
        await server.start()

    async def close(self, grace: float | None = None) -> None:
        """Stop serving, and end the instance. A call under way has `grace` seconds to be answered, by default none."""
        if self._server is not None:
            server, self._server = self._server, None
            self._closing = server, asyncio.create_task(self._close(server, grace))
        elif self._closing is not None and grace is None:
            await self._closing[0].stop(None)  # whoever closes it without grace does not wait for somebody else's
        if self._closing is not None:
            await asyncio.shield(self._closing[1])  # a caller that is cancelled must not leave it half closed

    async def _close(self, server: Any, grace: float | None) -> None:
        # First, so that clients which watch the health call no more.
        await self._health.enter_graceful_shutdown()
        await server.stop(grace)
        if self._request is not None:
            self._request.cancel()
        await asyncio.gather(*filter(None, (self._request, *self._tasks)), return_exceptions=True)
        await self.service.close()

    def _handlers(self) -> Any:
        def unary(request: Any, handle: Callable[[Any, Any], Awaitable[Any]]) -> Any:
            return grpc.unary_unary_rpc_method_handler(
                handle,
                request_deserializer=request.FromString,
                response_serializer=lambda response: response.SerializeToString(),
            )

        handlers = {
            SETUP: unary(SetupRequest, self._setup),
            CALL: unary(CallRequest, partial(self._exclusively, self.service.call)),
            REST: unary(Empty, partial(self._exclusively, self.service.rest)),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE, {path.rpartition("/")[2]: handler for path, handler in handlers.items()}
        )

    async def _setup(self, request: Any, context: Any) -> Any:
        response = await self._exclusively(self.service.setup, request, context)
        self.service.setup_answered()
        if response.status.code == ReplyCode.SUCCESS:
            await self._set_health(_SERVING)
        return response

    async def _exclusively(self, handle: Callable[[Any], Coroutine[Any, Any, Any]], request: Any, context: Any) -> Any:
        """Handle one request at a time, to its end even if the client goes away: the instance must not be lost."""
        if self._request is not None:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server busy")
        self._request = asyncio.create_task(handle(request))
        self._request.add_done_callback(self._free)
        return await asyncio.shield(self._request)

    def _free(self, request: asyncio.Task[Any]) -> None:
        self._request = None
        if not request.cancelled():
            request.exception()  # else asyncio would log it as never retrieved if the client has gone

    def _lost(self, fault: Fault) -> None:
        task = asyncio.create_task(self._set_health(_NOT_SERVING))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._on_end(fault)

    async def _set_health(self, status: Any) -> None:
        for service in ("", SERVICE):
            await self._health.set(service, status)
