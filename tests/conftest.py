"""What all tests share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from crunch_game import Submission

PATIENCE = 30.0
"""Seconds after which what a test waits for is taken to never come."""

GAMES = Path(__file__).parent / "games"
"""Authors' modules that submissions import; the models' processes get the coordinator's sys.path."""

sys.path.insert(0, str(GAMES))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.fixture
def patience() -> float:
    return PATIENCE


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


class Snapshots:
    """A roster that says what the test tells it to."""

    def __init__(self, *submissions: Submission) -> None:
        self._now = {submission.id: submission for submission in submissions}
        self._send, self._receive = anyio.create_memory_object_stream(100)

    def tell(self, *submissions: Submission) -> None:
        self._send.send_nowait({submission.id: submission for submission in submissions})

    async def follow(self):
        yield self._now
        with self._send, self._receive:
            async for snapshot in self._receive:
                yield snapshot

    def host(self):
        return None


@pytest.fixture
def snapshots():
    return Snapshots


@pytest.fixture
def log() -> Log:
    return Log()


async def seen(look: Callable[[], object]) -> None:
    """Wait for what no event tells of: a model's file, or the end of a process that is not our child."""
    with anyio.fail_after(PATIENCE):
        while not look():  # noqa: ASYNC110
            await anyio.sleep(0.005)


@pytest.fixture(name="seen")
def _seen():
    return seen
