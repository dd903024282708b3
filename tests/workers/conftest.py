"""What was played, in a form that two runs can be compared in; and feeds and rosters that obey the test."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import anyio
import pytest

from crunch_game import MemoryStore, Row, Store, Submission, open_store

sys.path.insert(0, str(Path(__file__).parent))  # what the tests of this folder share


class Push:
    """A live feed that gives what the test pushes."""

    live = True

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[Row](10_000)
        self.asked_since: list[datetime | None] = []
        self.open = True

    def push(self, *rows: Row) -> None:
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):  # the game is over
            for row in rows:
                self._send.send_nowait(row)

    def end(self) -> None:
        self.open = False
        self._send.close()

    def close(self) -> None:
        self._send.close()
        self._receive.close()

    async def rows(self, since: datetime | None = None, on_event=None) -> AsyncIterator[Row]:
        self.asked_since.append(since)
        async for row in self._receive:
            yield row


class Members:
    """A roster that says what the test tells it to."""

    def __init__(self, *sources: str) -> None:
        self._now = self._by_id(sources)
        self._send, self._receive = anyio.create_memory_object_stream[Mapping[str, Submission]](100)

    @staticmethod
    def _by_id(sources: tuple[str, ...]) -> dict[str, Submission]:
        return {each.id: each for each in map(Submission.of, sources)}

    def tell(self, *sources: str) -> None:
        self._send.send_nowait(self._by_id(sources))

    async def follow(self):
        yield self._now
        async for snapshot in self._receive:
            yield snapshot

    def close(self) -> None:
        self._send.close()
        self._receive.close()

    def host(self):
        return None


@pytest.fixture
def push():
    """Makes feeds that give what the test pushes."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Push()))


@pytest.fixture
def members():
    """Makes rosters that say what the test tells them to."""
    with ExitStack() as stack:
        yield lambda *sources: stack.enter_context(closing(Members(*sources)))


def played(store: Store) -> tuple:
    """All that a store holds of a game, but for how long the models took."""
    predictions = [replace(each, elapsed=0.0, asked_at=None) for each in store.predictions()]
    return store.rows(), predictions, store.scores(), store.first_rounds(), store.last_rounds()


@pytest.fixture(name="played")
def _played():
    return played


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    url = "memory:" if request.param == "memory" else f"sqlite:///{tmp_path / 'game.db'}"
    with open_store(url) as opened:
        yield opened


@pytest.fixture(scope="session")
def uninterrupted():
    """What the game `walk` comes to when nothing disturbs it."""
    import walk

    from crunch_game.sync import run_game

    store = MemoryStore()
    result = run_game(walk.game(), walk.MODELS, store=store, host="inline")
    return played(store), result
