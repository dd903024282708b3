"""A connection that is closed ends its calls with an error; only who is cancelled is cancelled."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from nodes import node

from crunch_game import Submission
from crunch_game.crunchdao.client._connection import Connection
from crunch_game.crunchdao.protocol import CALL, CallRequest

pytestmark = pytest.mark.anyio
REQUEST = CallRequest(methodName="predict").SerializeToString()


class Holds:
    async def predict(self):
        await asyncio.sleep(600)


@pytest.fixture
async def asking():
    """A connection, and a task whose call of its node is under way."""
    async with node(Holds) as one:
        reached = asyncio.Event()

        async def hold(request, context):
            reached.set()
            await asyncio.sleep(600)

        one.instance, one.bend = Holds(), hold
        connection = Connection(Submission("one", f"127.0.0.1:{one.port}"), None)
        await connection.open()
        task = asyncio.create_task(connection.request(CALL, REQUEST, wait_for_ready=True))
        await asyncio.wait_for(reached.wait(), 30)
        yield connection, task
        await connection.close()


async def test_a_call_whose_connection_is_closed_fails_and_cancels_nobody(asking):
    connection, task = asking
    await connection.close()
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await task
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert failed.value.details() == "the connection was closed"


async def test_who_waits_for_a_call_can_be_cancelled(asking):
    _, task = asking
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
