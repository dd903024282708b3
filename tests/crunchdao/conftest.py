"""Orchestrators, model nodes and runners that talk over real sockets on loopback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crunch_game import ModelRunner, Policy

HERE = Path(__file__).parent

sys.path[:0] = [str(HERE), str(HERE.parent / "hosts")]  # for nodes, orchestra, peers and taking_turns


@pytest.fixture(scope="module")
def anyio_backend():
    """gRPC needs asyncio."""
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
async def _one_event_loop(anyio_backend):
    """For a whole file: gRPC's thread may yet tell a loop of a connection that is gone, and must not find it closed."""
    yield  # noqa: PT022 - the loop is kept for as long as this is not over


@pytest.fixture
def running(log, patience):
    """A runner of `birds.TrackerBase` with generous budgets."""

    def make(models, base="birds.TrackerBase", **options) -> ModelRunner:
        options.setdefault("policy", Policy(timeout=10))
        options.setdefault("ready_timeout", patience)
        options.setdefault("on_event", log)
        return ModelRunner(base, models, **options)

    return make


@pytest.fixture(scope="session")
def client_python() -> Path:
    """The interpreter that has the coordinator's side of the network."""
    import peers

    return peers.python_with("client")


@pytest.fixture
def peer(client_python):
    """Start a coordinator of the published library that follows an orchestrator."""
    from coordinators import coordinating

    return lambda orchestrator, **told: coordinating(client_python, orchestrator.port, **told)
