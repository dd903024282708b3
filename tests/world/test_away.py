"""A store that is away for a while: the game goes on, and at the end the store is as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import world
from proxy import before

from crunch_game import ScoreWorker, StoreAway, StoreBack, open_store
from crunch_game.errors import StoreUnavailable
from crunch_game.storage.sql import _postgres
from crunch_game.workers.predicting import _outbox

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
AWAY, BACK = 10, 45
END_ALL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL
"""


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


def fill(ballast: Path) -> None:
    """Leave no byte free."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):
            pass


async def test_a_lock_that_another_process_holds_for_a_minute(url, undisturbed, tmp_path):
    lock = world.Lock(url)
    away, back = await assert_nothing_is_lost(url, lock.take, lock.release, undisturbed, tmp_path)
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


async def test_a_server_that_never_answers_again(postgres, undisturbed, tmp_path, monkeypatch):
    """What is between, and holds the connection, does not say that it is dead: the client must."""
    monkeypatch.setattr(_postgres, "SILENCE", 0.5)
    with before(postgres.fresh()) as dead, before(dead.url) as proxy:

        def replaced() -> None:
            proxy.lead_to(postgres.url)  # new connections; those of before hang for ever

        await assert_nothing_is_lost(proxy.url, dead.stall, replaced, undisturbed, tmp_path)


@pytest.mark.parametrize("answered", [False, True], ids=["before", "after"])
async def test_a_connection_that_is_cut_at_a_commit(postgres, undisturbed, tmp_path, answered):
    """Whether it was carried out is not known: it is written again, and changes nothing if it was."""
    with before(postgres.fresh()) as proxy:
        left = [0]

        def seen(data: bytes) -> str:
            if b"COMMIT" in data and left[0]:
                left[0] -= 1
                return "send" if answered else "drop"
            return "forward"

        proxy.seen = seen
        await assert_nothing_is_lost(
            proxy.url, lambda: left.__setitem__(0, 5), lambda: left.__setitem__(0, 0), undisturbed, tmp_path
        )


async def test_a_server_that_ends_all_connections(own_server, undisturbed, tmp_path):
    """As at its restart: unnoticed, since the next write gets a new one."""
    url = own_server.fresh()
    with open_store(url) as store:
        worker = await world.played(
            store, {number: lambda: own_server.sql(END_ALL) for number in (9, 20, 31)}, tmp_path
        )
        assert worker.predictions == len(undisturbed["predictions"])
        assert world.content(store) == undisturbed


async def test_a_server_that_only_reads(own_server, undisturbed, tmp_path):
    """As a standby does, that a failover has led to."""
    url = own_server.fresh()

    def only(word: str) -> None:
        setting = "default_transaction_read_only"
        own_server.sql(f"SET TRANSACTION READ WRITE; ALTER DATABASE postgres SET {setting} = {word}")
        own_server.sql(END_ALL)

    try:
        away, _ = await assert_nothing_is_lost(url, lambda: only("on"), lambda: only("off"), undisturbed, tmp_path)
    finally:
        own_server.sql(
            "SET default_transaction_read_only = off; ALTER DATABASE postgres RESET default_transaction_read_only"
        )
    assert "read only, as a standby is" in away.reason


@pytest.mark.processes
async def test_a_disk_that_is_full(small_disk, undisturbed, tmp_path):
    url, ballast = f"sqlite:///{small_disk / 'game.db'}", small_disk / "ballast"
    away, _ = await assert_nothing_is_lost(url, lambda: fill(ballast), ballast.unlink, undisturbed, tmp_path)
    assert any(word in away.reason for word in ("disk is full", "disk I/O error"))


@pytest.mark.processes
async def test_a_disk_that_is_full_of_the_journal_too(small_disk, undisturbed, tmp_path):
    """Then it waits in memory."""
    url, ballast = f"sqlite:///{small_disk / 'game.db'}", small_disk / "ballast"
    away, back = await assert_nothing_is_lost(url, lambda: fill(ballast), ballast.unlink, undisturbed, small_disk)
    assert (away.waiting, back.written > 30) == ("memory", True)


@pytest.mark.processes
async def test_a_disk_that_only_reads_from_an_error_on(failing_disk, undisturbed, tmp_path, monkeypatch):
    """It stays so: the game goes on to its end, says where all is that waits, and the repaired disk is given that."""
    monkeypatch.setattr(_outbox, "LAST", 0.1)
    url, journal = f"sqlite:///{failing_disk.folder / 'game.db'}", tmp_path / "journal"
    told: list[Any] = []
    with open_store(url) as store, pytest.raises(StoreUnavailable) as caught:
        await world.played(store, {AWAY: failing_disk.fail}, journal, on_event=told.append)
    [file] = journal.iterdir()
    assert str(caught.value).endswith(f"writes for it wait in {file}, and the next worker writes them first")
    assert file.stat().st_mode & 0o777 == 0o600
    [away] = world.of(told, StoreAway)
    assert "cannot be read or written" in away.reason

    failing_disk.repair()
    with open_store(url) as store:
        assert len(store.predictions()) < len(undisturbed["predictions"]) / 3
        told.clear()
        await world.played(
            store, {}, journal, rows=0, on_event=told.append, start=world.T0 + (world.ROWS + 1) * world.SECOND
        )
        [back] = world.of(told, StoreBack)
        assert back.written > 30
        content = world.content(store)
        assert {name: content[name] for name in ("rows", "predictions", "faults", "first", "last")} == {
            name: undisturbed[name] for name in ("rows", "predictions", "faults", "first", "last")
        }
        assert [each.committed for each in content["sessions"]][:1] == [
            each.committed for each in undisturbed["sessions"]
        ]
        again = await world.replayed(store)
        assert world.rounds(again) == world.rounds(store)
    assert list(journal.iterdir()) == []
