"""The servers end within a second when they are told to, whatever their clients do: real processes and sockets."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from websockets.sync.client import connect

from crunch_game.crunchdao import protocol

pytestmark = pytest.mark.processes

BUDGET = 5.0
"""Seconds. The promise is one. A machine that is busy with other tests may take several times that, and the libraries'
own ends, which wait for their clients, take ten."""

UPGRADE = (
    b"GET /walk HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
PLAIN = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: keep-alive\r\n\r\n"


def says(text: bytes, *, hears: bool = False) -> Callable[[int], list[socket.socket]]:
    """A client that says this and then nothing, and reads nothing but the beginning of an answer, if it `hears`."""

    def client(port: int) -> list[socket.socket]:
        connection = socket.create_connection(("127.0.0.1", port), timeout=30)
        connection.sendall(text)
        if hears:
            assert connection.recv(1)
        return [connection]

    return client


def half_closes(port: int) -> list[socket.socket]:
    """A client that says no more after its handshake, and says so."""
    [connection] = says(UPGRADE, hears=True)(port)
    connection.shutdown(socket.SHUT_WR)
    return [connection]


def calls(port: int) -> list:
    """A client whose call goes on, in the model's process, when the server is told to end."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def method(path, request, response):
        return channel.unary_unary(
            path, request_serializer=request.SerializeToString, response_deserializer=response.FromString
        )

    made = method(protocol.SETUP, protocol.SetupRequest, protocol.SetupResponse)(
        protocol.SetupRequest(className="walk.Walk"), timeout=60, wait_for_ready=True
    )
    assert made.status.message == protocol.CREATED
    request = protocol.CallRequest(methodName="predict", methodArguments=protocol.arguments(["BTC", 1]))
    return [channel, method(protocol.CALL, protocol.CallRequest, protocol.CallResponse).future(request)]


def watches(port: int) -> list:
    """A client that is told of the node's health for ever."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=""), timeout=60)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    return [channel, watch]


OF_AN_ORCHESTRATOR = {
    "is silent after its handshake": says(UPGRADE, hears=True),
    "reads nothing": says(UPGRADE),
    "is in the middle of its handshake": says(UPGRADE[:40]),
    "says nothing at all": says(b""),
    "keeps its connection alive": says(PLAIN, hears=True),
    "has closed its half": half_closes,
}
OF_A_NODE = {
    "says nothing at all": says(b""),
    "is silent after its handshake": says(PREFACE, hears=True),
    "is in the middle of its handshake": says(PREFACE[:10]),
    "keeps a connection alive that is none": says(PLAIN),
    "is in the middle of a call": calls,
    "watches its health": watches,
}


@pytest.fixture
def slow(models, tmp_path) -> Path:
    """A model whose call is known to go on, by a file with its process id."""
    (models / "slow.py").write_text(
        "import os, time\nfrom walk import Last\n\n\nclass Mine(Last):\n"
        "    def predict(self, asset, horizon):\n        print(os.getpid(), flush=True)\n        time.sleep(600)\n"
    )
    return models / "slow.py"


def printed(log: Path) -> int:
    """The process id that the slow model has printed by now, as it is called."""
    deadline = time.monotonic() + 30
    while not (log.exists() and log.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{log} stays empty"
        time.sleep(0.01)
    return int(log.read_text())


def port_in(line: str) -> int:
    return int(re.search(r":(\d+)", line).group(1))


def nodes(port: int) -> dict[str, int]:
    """The ports of an orchestrator's nodes."""
    with connect(f"ws://127.0.0.1:{port}/walk") as coordinator:
        return {each["model_id"]: each["port"] for each in json.loads(coordinator.recv())["data"]}


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def told(process, *signals: int) -> None:
    """Tell a server to end, and see it end, in good order and leaving nothing."""
    before = time.monotonic()
    for each in signals:
        process.send_signal(each)
    _, stderr = process.communicate(timeout=60)
    took = time.monotonic() - before
    assert (process.returncode, stderr) == (0, "")
    assert took < BUDGET


def an_orchestrator(start, game, models) -> tuple:
    """The process, and where it listens."""
    process = start("orchestrator", game(), "--models", models, "--port", 0)
    return process, port_in(process.stdout.readline())


def served_by(server: str, start, game, slow: Path) -> tuple:
    """The process that serves the slow model, and where its node listens."""
    if server == "orchestrator":
        process, port = an_orchestrator(start, game, slow.parent)
        return process, nodes(port)["slow"]
    process = start("node", slow, "--base", "walk.Walk", "--address", "127.0.0.1:0", "--logs", "logs")
    return process, port_in(process.stdout.readline())


@pytest.mark.parametrize("client", OF_AN_ORCHESTRATOR)
def test_an_orchestrator_ends_though_a_client_of_its_own(start, game, models, client):
    process, port = an_orchestrator(start, game, models)
    served = [port, *nodes(port).values()]
    assert all(map(listens, served))

    with contextlib.ExitStack() as stack:
        for held in OF_AN_ORCHESTRATOR[client](port):
            stack.callback(held.close)
        told(process, signal.SIGTERM)

    assert not any(map(listens, served))


@pytest.mark.parametrize("client", OF_A_NODE)
@pytest.mark.parametrize("server", ["node", "orchestrator"])
def test_a_node_ends_though_its_client(start, game, slow, tmp_path, server, client):
    process, port = served_by(server, start, game, slow)

    with contextlib.ExitStack() as stack:
        for held in OF_A_NODE[client](port):
            stack.callback(getattr(held, "close", None) or held.cancel)
        model = printed(tmp_path / "logs" / "slow.out.log") if client == "is in the middle of a call" else None
        told(process, signal.SIGTERM)

    assert not listens(port)
    if model is not None:
        with pytest.raises(ProcessLookupError):
            os.kill(model, 0)


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT,), (signal.SIGINT,) * 2, (signal.SIGTERM,) * 2, (signal.SIGTERM, signal.SIGINT, signal.SIGTERM)],
    ids=lambda signals: "-".join(each.name for each in signals),
)
@pytest.mark.parametrize("server", ["node", "orchestrator"])
def test_whoever_is_told_again_ends_as_orderly(start, game, slow, tmp_path, monkeypatch, server, signals):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    process, port = served_by(server, start, game, slow)

    held = calls(port)
    model = printed(tmp_path / "logs" / "slow.out.log")
    assert any((tmp_path / "temporary").iterdir())
    told(process, *signals)
    held[0].close()

    assert not listens(port)
    assert not any((tmp_path / "temporary").iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(model, 0)
