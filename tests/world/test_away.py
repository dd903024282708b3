"""A store that is away for a while: the game goes on, and at the end the store is as if nothing had happened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import world
from proxy import before

from crunch_game import ScoreWorker, StoreAway, StoreBack, open_store
from crunch_game.storage import SQLStore

pytestmark = pytest.mark.anyio
AWAY, BACK = 10, 45


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def undisturbed(tmp_path: Path) -> dict[str, Any]:
    with open_store(f"sqlite:///{tmp_path / 'undisturbed.db'}") as store:
        await world.played(store, {}, tmp_path / "none")
        return world.content(store)


async def assert_nothing_is_lost(
    url: str, leave: Callable[[], Any], come_back: Callable[[], Any], undisturbed: dict[str, Any], tmp_path: Path
) -> list[Any]:
    """Play the game while the store is away; it is then as that of an undisturbed game, and its own replay."""
    told: list[Any] = []

    def back() -> None:
        world.wait_until(lambda: world.of(told, StoreAway))
        come_back()

    with open_store(url) as store:
        worker = await world.played(store, {AWAY: leave, BACK: back}, tmp_path / "journal", on_event=told.append)
        assert (worker.ticks, worker.missed) == (world.ROWS, 0)
        assert worker.predictions == len(undisturbed["predictions"])
    with open_store(url) as store:
        content = world.content(store)
        kept = [each.kind for _, each in store.events() if each.kind.startswith("Store")]
        assert kept == ["StoreAway", "StoreBack"]
        for name, expected in undisturbed.items():
            assert content[name] == expected, name
        ScoreWorker(world.game(None), store).step()
        again = await world.replayed(store)
        assert (world.rounds(again), again.scores()) == (world.rounds(store), store.scores())
        assert len(store.scores()) > 50
    assert not list((tmp_path / "journal").glob("*")), "the journal is empty"
    [away], [back] = world.of(told, StoreAway), world.of(told, StoreBack)
    return [away, back]


async def test_a_lock_that_another_process_holds_for_a_minute(url, undisturbed, tmp_path):
    other = open_store(url)
    assert isinstance(other, SQLStore)
    held: list[Any] = []

    def lock() -> None:
        held.append(other._writing())
        held[0].__enter__()

    away, back = await assert_nothing_is_lost(
        url, lock, lambda: held[0].__exit__(None, None, None), undisturbed, tmp_path
    )
    other.close()
    assert away.waiting.startswith(str(tmp_path / "journal" / "world-"))
    assert back.written > 30


async def test_a_server_that_is_gone_for_a_minute(postgres, undisturbed, tmp_path):
    with before(postgres.fresh()) as proxy:
        away, back = await assert_nothing_is_lost(proxy.url, proxy.cut, proxy.back, undisturbed, tmp_path)
        assert "cannot be reached" in away.reason
        assert back.written > 30


async def test_a_server_that_stalls_for_a_minute(postgres, undisturbed, tmp_path):
    with before(postgres.fresh()) as proxy:
        away, back = await assert_nothing_is_lost(proxy.url, proxy.stall, proxy.back, undisturbed, tmp_path)
        assert "a write has taken 0.2 s so far" in away.reason
        assert back.written > 30
