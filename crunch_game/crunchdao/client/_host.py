"""NodeHost: models on model nodes, asked over gRPC."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final

import anyio
from google.protobuf.message import DecodeError
from grpc import StatusCode
from grpc.aio import AioRpcError

from crunch_game._public import public
from crunch_game.crunchdao.client import _backoff as backoff
from crunch_game.crunchdao.client import _replies as replies
from crunch_game.crunchdao.client._connection import Connection
from crunch_game.crunchdao.client._credentials import Credentials
from crunch_game.crunchdao.client._node import Node
from crunch_game.crunchdao.client._pending import PendingCall, PendingRound
from crunch_game.crunchdao.client._requests import Requests, setup_request
from crunch_game.crunchdao.protocol import CREATED, SETUP, Refused, ReplyCode, SetupResponse
from crunch_game.errors import UsageError
from crunch_game.faults import describe_exception, shortened
from crunch_game.hosts import TableReader
from crunch_game.hosts.base import Asked, Call, Instance, Loaded, LoadFailure, Reply, Setup, Watcher
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Trigger

logger = logging.getLogger("crunch_game")

_BLOCKED_SECONDS: Final = 0.1
"""How late the event loop may notice a deadline before its author is told."""
_LOOK_TIMEOUT_SECONDS: Final = 2.0
"""For a node to say whether it has an instance."""
_REST_TIMEOUT_SECONDS: Final = 1.0
"""For a node to end its instance."""
_MAX_SPOILED: Final = 1_000


@public
class NodeHost:
    """Models on model nodes: each submission's source is the "host:port" of its node. Needs asyncio.

    A node that has an instance already keeps it, and with it what it has seen.

    Args:
        credentials: How the connections are secured; plain text unless given.
    """

    def __init__(self, credentials: Credentials | None = None) -> None:
        self._credentials = credentials
        self._nodes: set[Node] = set()
        self._leaving: dict[tuple[str, int], asyncio.Event] = {}
        self._spoiled: dict[tuple[str, str], None] = {}
        """Deployments whose node must end its instance first: it would not, or it may have one that nobody heard of."""

    async def open(self, setup: Setup, submissions: Sequence[Submission], watcher: Watcher) -> None:
        """Encode how instances are made.

        Raises:
            ContractError: The nodes cannot import the base class, or its arguments cannot be sent.
        """
        need_asyncio()
        self._setup = setup_request(setup)
        self._tables = TableReader()
        self._watcher = watcher

    async def start(self, submission: Submission, timeout: float) -> Loaded:
        """Connect to the node, which may not listen yet, and have it make the instance."""
        try:
            connection = Connection(submission, self._credentials)
        except ValueError as error:
            raise LoadFailure(Fault("unreachable", shortened(str(error)))) from None
        try:
            with anyio.move_on_after(timeout):
                fresh = await self._set_up(submission, connection)
                node = Node(submission, connection, self._watcher)
                self._nodes.add(node)
                node.watch()
                return Loaded(node, fresh=fresh)
            fault = _late(connection, timeout)
        except LoadFailure as error:
            fault = error.fault
        except Exception as error:  # one announcement must never end the game
            logger.exception("asking the node of %s for its model failed", submission.id)
            fault = Fault("refused", f"its node could not be asked: {describe_exception(error)}")
        except BaseException:
            await connection.close()
            raise
        await connection.close()
        raise LoadFailure(fault)

    async def _set_up(self, submission: Submission, connection: Connection) -> bool:
        """Try until the node has an instance. Returns whether it is a fresh one."""
        while (leaving := self._leaving.get(connection.address)) is not None:
            await leaving.wait()
        deployment = submission.id, submission.deployment_id
        for attempt in itertools.count():
            try:
                await connection.open()
                if deployment in self._spoiled:
                    await connection.rest(_REST_TIMEOUT_SECONDS)
                    del self._spoiled[deployment]
                if not replies.has_instance(await connection.look(_LOOK_TIMEOUT_SECONDS, wait_for_ready=False)):
                    self._spoil(submission)  # until the answer is here: without it, what is made has no history
                answer = await connection.request(SETUP, self._setup)
                self._spoiled.pop(deployment, None)
                status = SetupResponse.FromString(answer).status
                if status.code != ReplyCode.SUCCESS:
                    code, text = replies.told(status)
                    raise LoadFailure(Fault(code or "UNKNOWN", text or f"its node says {code or 'nothing'}"))
                return bool(status.message == CREATED)
            except Refused as error:
                raise LoadFailure(Fault("refused", str(error))) from None
            except DecodeError:
                raise LoadFailure(Fault("invalid", "its node answered with a message that cannot be read")) from None
            except AioRpcError as error:
                connection.trouble = replies.reason_of(error)
                if error.code() in _FINAL:
                    raise LoadFailure(Fault("refused", connection.trouble)) from None
                if await connection.wants_credentials(error):
                    text = "its node speaks TLS; give the roster credentials"
                    raise LoadFailure(Fault("refused", text)) from None
            except OSError as error:
                connection.trouble = shortened(str(error)) or "it does not answer"
            await asyncio.sleep(backoff.delay(attempt))
        raise AssertionError

    async def ask(self, call: Call, asked: Asked, *, each: bool) -> AsyncGenerator[Sequence[tuple[Instance, Reply]]]:
        """Send every node its request, and take what comes by the deadline."""
        async with aclosing(self._ask([(call, asked)], each=each)) as batches:
            async for _, replies in batches:
                yield replies

    def ask_together(
        self, asks: Sequence[tuple[Call, Asked]]
    ) -> AsyncGenerator[tuple[int, Sequence[tuple[Instance, Reply]]]]:
        """Send every node its requests, one after the other."""
        return self._ask(asks, each=False)

    async def _ask(
        self, asks: Sequence[tuple[Call, Asked]], *, each: bool
    ) -> AsyncGenerator[tuple[int, Sequence[tuple[Instance, Reply]]]]:
        rounds, calls = [], []
        for call, asked in asks:
            requests, round_ = Requests(call), PendingRound(call, each=each)
            rounds.append(round_)
            for instance, extra in asked.items():
                assert isinstance(instance, Node)
                calls.append((instance, PendingCall(round_, instance, requests, extra)))
        for node, pending in calls:  # all of them could be encoded
            node.ask(pending)
        try:
            for number, round_ in enumerate(rounds):
                awaited = True
                while awaited:
                    awaited = bool(round_.pending)
                    if awaited:
                        await round_.news.wait()
                    if batch := self._collected(round_):
                        yield number, await self._tables.read(batch, partial(self._unheard, batch))
        finally:
            for node, pending in reversed(calls):  # else a node would be asked the next one when one is given up
                if pending.is_pending:
                    node.give_up(pending)

    def _collected(self, round_: PendingRound) -> list[tuple[Instance, Reply]]:
        if round_.blocked > _BLOCKED_SECONDS:
            self._watcher.loop_blocked(round_.blocked)
        round_.blocked = 0.0
        return round_.collected()

    def _unheard(self, batch: Sequence[tuple[Instance, Reply]]) -> None:
        """Tell that who gave these replies is free: nobody waits for them any more."""
        for node, _ in batch:
            self._watcher.happened(node, Trigger.LATE, None)

    async def stop(self, instance: Instance) -> None:
        """End the node's instance, and disconnect."""
        assert isinstance(instance, Node)
        if instance not in self._nodes:
            return
        self._nodes.discard(instance)
        instance.drop()
        address = instance.connection.address
        if any(node.connection.address == address for node in self._nodes):
            await instance.close()  # what the node has by now is another's
            return
        self._leaving[address] = gone = asyncio.Event()
        try:
            with anyio.CancelScope(shield=True):
                if not instance.is_forgotten:
                    try:
                        await instance.connection.rest(_REST_TIMEOUT_SECONDS)
                    except (AioRpcError, Refused):
                        self._spoil(instance.submission)
                await instance.close()
        finally:
            gone.set()
            if self._leaving.get(address) is gone:
                del self._leaving[address]

    def _spoil(self, submission: Submission) -> None:
        self._spoiled[submission.id, submission.deployment_id] = None
        while len(self._spoiled) > _MAX_SPOILED:
            del self._spoiled[next(iter(self._spoiled))]

    async def close(self) -> None:
        """Disconnect from every node; their instances stay, and know what they have seen."""
        if hasattr(self, "_tables"):
            self._tables.close()
        nodes, self._nodes = self._nodes, set()
        if nodes:
            await asyncio.gather(*(node.close() for node in nodes))


_FINAL: Final = (StatusCode.UNIMPLEMENTED, StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED)


def _late(connection: Connection, timeout: float) -> Fault:
    """Why a node was not set up in time."""
    if connection.is_ready:
        return Fault("timeout", f"making it took longer than {timeout:g} s (setup_timeout)")
    place = shortened(f"{connection.host}:{connection.port}")
    return Fault("unreachable", f"its node at {place} could not be reached within {timeout:g} s: {connection.trouble}")


def need_asyncio() -> None:
    """Say clearly that trio will not do.

    Raises:
        UsageError: The event loop is not asyncio's.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "models on CrunchDAO's network need asyncio, because gRPC does; run the game with anyio.run(main), "
            'or backend="asyncio"'
        ) from None
