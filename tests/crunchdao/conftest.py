"""Orchestrators, model nodes and runners that talk over real sockets on loopback."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from crunch_game import ModelRunner, Policy

HERE = Path(__file__).parent
PATIENCE = 30.0
"""Seconds after which what a test waits for is taken to never come."""

sys.path.insert(0, str(HERE))  # for nodes, orchestra and peers


class Log:
    """What a runner told its author; what is still to come can be awaited."""

    def __init__(self) -> None:
        self.records: list = []
        self._news = anyio.Event()

    def __call__(self, record) -> None:
        self.records.append(record)
        news, self._news = self._news, anyio.Event()
        news.set()

    def of(self, kind, model_id: str | None = None) -> list:
        """The records of that kind so far, of one model or of all."""
        return [r for r in self.records if isinstance(r, kind) and model_id in (None, getattr(r, "model_id", None))]

    async def until(self, kind, model_id: str | None = None, count: int = 1):
        """The `count`th record of that kind."""
        with anyio.fail_after(PATIENCE):
            while len(self.of(kind, model_id)) < count:
                await self._news.wait()
        return self.of(kind, model_id)[count - 1]


@pytest.fixture
def anyio_backend():
    """gRPC needs asyncio."""
    return "asyncio"


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def running(log):
    """A runner of `birds.TrackerBase` with generous budgets."""

    def make(models, base="birds.TrackerBase", **options) -> ModelRunner:
        options.setdefault("policy", Policy(timeout=10))
        options.setdefault("ready_timeout", PATIENCE)
        options.setdefault("on_event", log)
        return ModelRunner(base, models, **options)

    return make


async def seen(look) -> None:
    """Wait for what no event tells of."""
    with anyio.fail_after(PATIENCE):
        while not look():  # noqa: ASYNC110
            await anyio.sleep(0.005)


@pytest.fixture(name="seen")
def _seen():
    return seen


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
