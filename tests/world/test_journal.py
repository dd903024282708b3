"""What waits on disk: whole frames in their order, of one store and one game, and no more than there is room for."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import world
from hypothesis import given, settings
from hypothesis import strategies as st

from crunch_game import JournalAside, JournalFull, StoreBack, StoreUnavailable, UsageError, open_store
from crunch_game.storage import ModelRecord, Prediction, Session
from crunch_game.storage.journal import Journal, Write, identified
from crunch_game.workers.predicting import _outbox

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
T0, SECOND = world.T0, world.SECOND


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def write(number: int, size: int = 10) -> Write:
    at = T0 + number * SECOND
    asked = Prediction("ada", "d1", "a", at, at + SECOND, 1.0, {"x": [1, {"y": None}]}, value="x" * size, excused=True)
    session = Session(1, T0, at, at)
    return Write([world.row(number)], [asked], [ModelRecord("ada", "", "d1", f"{number}")], [], session)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "world.journal"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    made = Journal(path, "s1", "world")
    yield made
    made.close()


def drained(journal: Journal) -> list[Write]:
    found = []
    while (first := journal.first()) is not None:
        found.append(first)
        journal.done()
    return found


def test_what_waits_comes_back_in_its_order_and_leaves_no_file(journal, path):
    assert (journal.first(), len(journal), path.exists()) == (None, 0, False)
    writes = [write(number) for number in range(5)]
    for each in writes[:3]:
        assert journal.append(each)
    assert path.stat().st_mode & 0o777 == 0o600
    assert journal.first() == writes[0]
    journal.done()
    for each in writes[3:]:
        assert journal.append(each)
    assert (len(journal), journal.where) == (4, str(path))
    assert drained(journal) == writes[1:]
    assert list(path.parent.iterdir()) == []
    journal.append(writes[0])
    assert drained(journal) == writes[:1]


async def test_a_write_of_a_real_game_is_the_same_afterwards(tmp_path):
    """Of every kind of record that there is."""
    seen: list[Write] = []
    with open_store(f"sqlite:///{tmp_path / 'one.db'}") as one, open_store(f"sqlite:///{tmp_path / 'two.db'}") as two:
        keep = one.save
        one.save = lambda *args, **more: (seen.append(Write(*args, **more)), keep(*args, **more))  # type: ignore
        await world.played(one, {}, tmp_path)
        for each in seen:
            Write.unpacked(each.packed()).into(two)
        assert world.content(two) == world.content(one)
        assert two.events() == one.events()
    assert any(each.log and each.log.faults for each in seen)


@settings(max_examples=settings().max_examples // 4)
@given(st.integers(0, 2000), st.binary(max_size=20))
def test_what_a_kill_leaves_half_written_is_cut_off(tmp_path_factory, cut, noise):
    """Wherever it came; and whatever else is at the end of the file."""
    path = tmp_path_factory.mktemp("journal") / "world.journal"
    writes = [write(number) for number in range(4)]
    ends = []
    killed = Journal(path, "s1", "world")
    for each in writes:
        killed.append(each)
        ends.append(path.stat().st_size)
    killed.close()
    os.truncate(path, min(cut, ends[-1]))
    with path.open("ab") as file:
        file.write(noise)
    whole = [each for each, end in zip(writes, ends, strict=True) if end <= cut]
    found = Journal(path, "s1", "world")
    try:
        left = found.left()
    except UsageError:
        assert not whole
        return
    assert (0 if left is None else left.count) == len(whole)
    assert found.append(write(9))
    assert drained(found) == [*whole, write(9)]
    assert not path.exists()


def test_a_journal_of_another_store_or_game_is_refused(journal, path):
    journal.append(write(0))
    journal.close()
    for store, game in (("s2", "world"), ("s1", "birds")):
        with pytest.raises(UsageError) as caught:
            Journal(path, store, game).left()
        assert str(caught.value) == (
            f"the journal {path} is of the game 'world', in another store, and can only be written there; move it "
            "away, or give this worker another folder for its journal"
        )
    path.write_bytes(struct.pack(">II", 2, zlib.crc32(b"[]")) + b"[]")
    with pytest.raises(UsageError, match="is of something else"):
        Journal(path, "s1", "world").left()


def test_more_than_there_is_room_for_is_refused(path):
    journal = Journal(path, "s1", "world", most_on_disk=3_000, most_in_memory=2_500)
    kept = [journal.append(write(number, 900)) for number in range(6)]
    assert kept == [True] * 4 + [False] * 2
    assert (journal.in_memory, journal.where) == (2, "memory")
    assert [each.rows[0].time for each in drained(journal)] == [world.row(number).time for number in range(4)]
    assert journal.append(write(7, 900))
    assert journal.where == str(path)
    drained(journal)


def test_a_folder_that_cannot_be_made_is_none(tmp_path):
    (tmp_path / "file").touch()
    journal = Journal(tmp_path / "file" / "world.journal", "s1", "world")
    assert journal.append(write(0))
    assert (journal.in_memory, journal.where) == (1, "memory")
    assert drained(journal) == [write(0)]


def test_a_store_is_told_from_every_other_one(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'one.db'}") as one, open_store(f"sqlite:///{tmp_path / 'two.db'}") as two:
        assert identified(one) == identified(one) != identified(two)


async def test_a_journal_that_is_full_loses_what_was_played_and_says_how_much(url, tmp_path, monkeypatch):
    """What else happened, and who is there, is told later; no slot is said to be stored that is not."""
    monkeypatch.setattr("crunch_game.storage.journal._place.Journal", small)
    lock = world.Lock(url)
    told: list[Any] = []

    def release() -> None:
        world.wait_until(lambda: world.of(told, JournalFull))
        lock.release()
        world.wait_until(lambda: world.of(told, StoreBack))

    with open_store(url) as store:
        worker = await world.played(store, {10: lock.take, 45: release}, tmp_path / "journal", on_event=told.append)
        first, last = world.of(told, JournalFull)
        rows = [arrival.row for _, arrival in store.arrivals()]
        lost = world.ROWS - len(rows)
        assert 0 < first.lost < last.lost
        assert lost > 20
        answers = len(store.predictions())
        assert worker.predictions == answers
        assert rows == [world.row(number) for number in range(world.ROWS) if world.row(number) in rows]
        kinds = [each.kind for _, each in store.events()]
        assert kinds.count("JournalFull") == 2
        assert kinds.count("TickPlayed") == world.ROWS, "that a row was told is known, though it is lost"
        [session] = store.sessions()
        assert session.committed == max(each.at for each in store.predictions())


def small(*args: Any, **more: Any) -> Journal:
    return Journal(*args, most_on_disk=6_000, most_in_memory=3_000)


async def test_a_worker_that_was_overtaken_leaves_its_journal_aside(tmp_path, monkeypatch):
    """Somebody else has played on the store meanwhile: written now, these answers would come out of their order."""
    monkeypatch.setattr(_outbox, "LAST", 0.1)
    path, folder = tmp_path / "game.db", tmp_path / "journal"
    url = f"sqlite:///{path}"
    lock = world.Lock(url)
    with open_store(url) as store, pytest.raises(StoreUnavailable):
        await world.played(store, {30: lock.take}, folder)
    lock.release()
    later = T0 + (world.ROWS + 5) * SECOND
    told: list[Any] = []
    with open_store(url) as store:
        store.swap_lease("predict", store.lease("predict"), None)
        await world.played(store, {}, tmp_path / "elsewhere", start=later)
        before = world.content(store)
        await world.played(store, {}, folder, start=later + 5 * SECOND, on_event=told.append)
        [aside] = world.of(told, JournalAside)
        [file] = folder.iterdir()
        assert (aside.path, file.suffix) == (file, ".aside-1")
        assert aside.count > 20
        assert world.content(store)["predictions"] == before["predictions"]


async def test_a_journal_whose_removal_was_lost_is_written_no_second_time(tmp_path, monkeypatch):
    """As by a loss of power: the store has all of it, and what came after."""
    folder = tmp_path / "journal"
    with open_store(f"sqlite:///{tmp_path / 'game.db'}") as store:
        await world.played(store, {}, folder)
        stale = Journal(folder / f"world-{identified(store)[:12]}.journal", identified(store), "world")
        [session] = store.sessions()
        [record, *_] = store.models()
        stale.append(Write(models=[replace(record, state="joining")], session=replace(session, heartbeat=T0)))
        stale.close()
        await world.played(store, {}, folder, rows=0, start=T0 + (world.ROWS + 5) * SECOND)
        assert store.sessions()[0] == session
        assert list(folder.iterdir()) == []
