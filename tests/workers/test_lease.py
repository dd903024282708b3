"""One worker of a kind works on a store; who lives keeps it, and who has ended keeps nobody waiting."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from crunch_game import MemoryStore, Store, open_store
from crunch_game.errors import StoreError, UsageError
from crunch_game.storage.base import Lease
from crunch_game.workers import _lease
from crunch_game.workers._lease import leased

FOR_EVER = 1e9
SECOND = timedelta(seconds=1)


def now() -> datetime:
    return datetime.now(UTC)


def held(store: Store, kind: str = "predict") -> Lease:
    found = store.lease(kind)
    assert found is not None
    return found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life every hundredth of a second; whoever is watched must give one within a second."""
    monkeypatch.setattr(_lease, "BEAT", 0.01)
    monkeypatch.setattr(_lease, "MISSED", 1.0)


def elsewhere(beat: datetime, **changes: object) -> Lease:
    """The lease of a worker on another machine."""
    lease = Lease("predict", "t", "beta", 7, datetime(2024, 1, 1, tzinfo=UTC), beat, "boot/pid:[1]/5")
    return replace(lease, **changes)


async def refused(store: Store, kind: str = "predict") -> str:
    with pytest.raises(UsageError) as caught:
        async with leased(store, kind):
            pytest.fail("two workers hold one lease")
    return str(caught.value)


@pytest.mark.anyio
async def test_a_second_worker_is_told_who_works_and_the_next_one_may(store: Store) -> None:
    async with leased(store, "predict"), leased(store, "score"):
        since = held(store).since
        assert abs(now() - since) < timedelta(minutes=1)
        assert (held(store).host, held(store).pid) == (socket.gethostname(), os.getpid())
        assert await refused(store) == (
            f"the store has a predict worker already (in this process, since {since:%Y-%m-%d %H:%M:%S} UTC); "
            "end that one first, or use another store"
        )
        assert "a score worker already" in await refused(store, "score")
    assert (store.lease("predict"), store.lease("score")) == (None, None)
    async with leased(store, "predict") as hold:
        hold.assure()


@pytest.mark.anyio
async def test_the_lease_is_given_back_however_the_body_ends(
    store: Store, seen: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lease, "BEAT", FOR_EVER)
    with pytest.raises(ZeroDivisionError):  # not in a group
        async with leased(store, "predict"):
            raise ZeroDivisionError
    assert store.lease("predict") is None
    with anyio.CancelScope() as scope:
        async with leased(store, "predict") as hold:
            scope.cancel()
            await anyio.sleep_forever()
    assert store.lease("predict") is None
    with pytest.raises(UsageError, match=r"^this predict worker has ended, and stores nothing more$"):
        hold.assure()
    await seen(lambda: "lease of predict" not in {thread.name for thread in threading.enumerate()})
    hold.give_back()  # again


@pytest.mark.anyio
async def test_who_has_given_up_before_he_had_the_lease_does_not_get_it(store: Store) -> None:
    """A thread may come to it only after its worker was cancelled."""
    hold = _lease.Hold(store, "predict")
    hold.give_back()
    await hold.taken()
    assert store.lease("predict") is None


def test_a_task_that_is_cancelled_while_it_takes_the_lease_does_not_keep_it(tmp_path: Path) -> None:
    """asyncio's own cancellation does not wait for the thread that takes it."""

    async def cancelled(store: Store) -> None:
        async with leased(store, "predict"):
            await anyio.sleep_forever()

    async def play() -> None:
        with open_store(f"sqlite:///{tmp_path}/game.db") as store:
            for pauses in range(12):
                task = asyncio.create_task(cancelled(store))
                for _ in range(pauses):
                    await asyncio.sleep(0)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                async with leased(store, "predict"):
                    pass
                assert store.lease("predict") is None

    asyncio.run(play())


@pytest.mark.parametrize("loop_is", ["closed", "thrown away", "standing still"])
def test_a_worker_whose_loop_was_closed_or_stands_still_is_in_nobodys_way(store: Store, loop_is: str) -> None:
    holds: list[_lease.Hold] = []
    never = asyncio.Event()

    async def work() -> None:
        async with leased(store, "predict") as hold:
            holds.append(hold)
            await never.wait()

    async def until_it_works() -> None:
        while not holds:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    async def next_one() -> None:
        async with leased(store, "predict") as hold:
            hold.assure()
            with pytest.raises(UsageError, match=r"another one has its place \(in this proc|has ended, and stores"):
                holds[0].assure()

    loop = asyncio.new_event_loop()
    task = loop.create_task(work())
    loop.run_until_complete(until_it_works())
    if loop_is != "standing still":
        loop.close()
    if loop_is == "thrown away":
        throw_away(task)
        assert store.lease("predict") is None
    asyncio.run(next_one())
    assert store.lease("predict") is None
    if loop_is == "closed":
        throw_away(task)
    if loop_is == "standing still":
        with pytest.raises(UsageError, match="so long that another one has its place"):  # it goes on, and hears of it
            loop.run_until_complete(task)
        loop.close()


def throw_away(task: asyncio.Task[None]) -> None:
    """As the garbage collector does it, but not just at any time."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    coroutine = task.get_coro()
    assert coroutine is not None
    with suppress(RuntimeError):  # of anyio's task group, which needs an event loop to end
        coroutine.close()


@pytest.mark.anyio
async def test_a_worker_says_that_it_lives_though_its_event_loop_is_blocked(store: Store, quick: None) -> None:
    async with leased(store, "predict"):
        first, beats = held(store), set[datetime]()
        patience = threading.Event()
        while len(beats) < 3:
            patience.wait(0.005)  # no `await`: the event loop stands still
            beats.add(held(store).beat)
        assert replace(held(store), beat=first.beat) == first


@pytest.mark.anyio
async def test_who_has_lost_the_lease_is_cancelled_and_told_who_has_it(
    store: Store, quick: None, patience: float
) -> None:
    async def lose() -> None:
        async with leased(store, "predict"):
            while not store.swap_lease("predict", held(store), elsewhere(now())):
                pass  # it gave a sign of life in between
            await anyio.sleep_forever()

    with anyio.fail_after(patience), pytest.raises(UsageError) as caught:
        await lose()
    assert str(caught.value) == (
        "this predict worker hung for so long that another one has its place (process 7 on beta, since 2024-01-01 "
        "00:00:00 UTC); it has stopped, and stores nothing more"
    )
    assert held(store).token == "t"  # the other one's is left alone


@pytest.mark.anyio
async def test_after_a_long_hang_the_lease_is_looked_at_before_a_write(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that gives signs of life hung as well, and may come too late."""
    elapsed = [100.0]
    monkeypatch.setattr(_lease, "BEAT", FOR_EVER)
    monkeypatch.setattr(_lease, "_elapsed", lambda: elapsed[0])

    async def work() -> None:
        async with leased(store, "predict") as hold:
            elapsed[0] += _lease.MISSED + 1
            hold.assure()  # nobody has taken it: this is a sign of life
            assert store.swap_lease("predict", held(store), None)
            elapsed[0] += _lease.MISSED
            hold.assure()  # not looked at: the last sign of life is not so long ago
            elapsed[0] += 1
            with pytest.raises(UsageError, match="so long that another one had its place meanwhile; it has stopped"):
                hold.assure()
            await anyio.sleep_forever()  # it is cancelled as well

    with pytest.raises(UsageError, match="so long that another one had its place meanwhile; it has stopped"):
        await work()


@pytest.mark.anyio
async def test_a_store_that_fails_is_told_by_the_write_and_not_taken_for_a_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    elapsed = [0.0]
    monkeypatch.setattr(_lease, "_elapsed", lambda: elapsed[0])
    store = open_store(f"sqlite:///{tmp_path}/game.db")
    async with leased(store, "predict") as hold:
        store.close()
        elapsed[0] = 1000.0
        with pytest.raises(StoreError, match="the store was closed"):
            hold.assure()
    assert "the lease of this predict worker could not be given back: the store was closed" in caplog.text


@pytest.mark.anyio
async def test_a_worker_elsewhere_is_believed_to_live_for_half_a_minute(store: Store) -> None:
    beat = now()
    store.swap_lease("predict", None, elsewhere(beat))
    assert await refused(store) == (
        "the store has a predict worker already (process 7 on beta, since 2024-01-01 00:00:00 UTC); end that one "
        "first, or use another store. If it has ended without a word, its place is free from "
        f"{beat + 30 * SECOND:%Y-%m-%d %H:%M:%S} UTC on"
    )


@pytest.mark.anyio
@pytest.mark.parametrize("ago", [31, -31, 86_400 * 365])
async def test_a_silent_worker_elsewhere_is_watched_before_its_place_is_taken(
    store: Store, monkeypatch: pytest.MonkeyPatch, ago: int
) -> None:
    """By its beat alone it could live: its clock may be another, or ours was set."""
    monkeypatch.setattr(_lease, "MISSED", 0.01)
    silent = elsewhere(now() - ago * SECOND)
    store.swap_lease("predict", None, silent)
    async with leased(store, "predict"):
        assert held(store).host == socket.gethostname()


@pytest.mark.anyio
async def test_a_worker_elsewhere_that_gives_a_sign_while_it_is_watched_lives(store: Store, quick: None) -> None:
    silent = elsewhere(now() - 3600 * SECOND)
    store.swap_lease("predict", None, silent)

    async def give_signs() -> None:
        while True:
            assert store.swap_lease("predict", held(store), elsewhere(held(store).beat + 5 * SECOND))
            await anyio.sleep(0.01)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(give_signs)
        assert "its place is free from" in await refused(store)
        tasks.cancel_scope.cancel()
    assert held(store).host == "beta"


@pytest.mark.skipif(sys.platform != "linux", reason="no other system says when a process began")
@pytest.mark.anyio
async def test_what_only_looks_like_the_process_of_a_lease_does_not_hold_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_lease, "MISSED", FOR_EVER)  # nobody is watched: all is known at once
    async with leased(store, "predict"):
        mine = held(store)
    assert mine.process is not None
    place, _, began = mine.process.rpartition("/")
    for gone in (
        replace(mine, token="of another worker of this process"),
        replace(mine, process=f"{place}/{int(began) - 1}"),  # ended; its number is ours by now
        replace(mine, pid=os.getppid(), process=f"{place}/1"),  # the same, and the number is another process's
        replace(mine, pid=2**22 + 1),  # no process has such a number
    ):
        assert store.swap_lease("predict", None, gone)
        async with leased(store, "predict"):
            assert held(store).token != gone.token
    # In another container, the same number is another process; so it is after the machine was started again.
    boot, namespace, _ = mine.process.split("/")
    for process in (f"{boot}/pid:[1]/{began}", f"other/{namespace}/{began}", None):
        unknown = replace(mine, token="t", process=process)
        assert store.swap_lease("predict", None, unknown)
        assert "its place is free from" in await refused(store)
        assert store.swap_lease("predict", unknown, None)


def test_of_many_workers_that_start_at_once_one_works(store: Store, patience: float) -> None:
    together, everyone = threading.Barrier(8), threading.Barrier(8)
    said: list[str] = []

    async def work() -> None:
        try:
            async with leased(store, "predict"):
                said.append("works")
                await anyio.to_thread.run_sync(everyone.wait, patience)  # until all others were refused
        except UsageError as error:
            said.append(str(error))
            everyone.wait(patience)

    def run() -> None:
        together.wait(patience)
        anyio.run(work)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(text[:9] for text in said) == ["the store"] * 7 + ["works"]


@pytest.mark.anyio
async def test_a_store_that_gives_the_lease_to_nobody_is_a_sentence_and_no_endless_loop(store: Store) -> None:
    class Stub(MemoryStore):
        def swap_lease(self, kind: str, before: Lease | None, after: Lease | None) -> bool:
            return False

    with pytest.raises(StoreError, match=r"^Stub\.swap_lease has refused a free lease 100 times$"):
        async with leased(Stub(), "predict"):
            pass


WORKER = """
import sys, anyio
from crunch_game import open_store
from crunch_game.errors import UsageError
from crunch_game.workers import _lease

async def work():
    with open_store(sys.argv[1]) as store:
        async with _lease.leased(store, "predict"):
            print("works", flush=True)
            await anyio.to_thread.run_sync(sys.stdin.read)

_lease.MISSED = 1e9  # whoever watches another one never ends
try:
    anyio.run(work)
except UsageError as error:
    print(error, flush=True)
"""


def worker(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def said_by(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.processes
@pytest.mark.skipif(sys.platform != "linux", reason="no other system says when a process began")
def test_the_lease_of_a_killed_process_is_free_at_once_and_that_of_a_stopped_one_is_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/game.db"
    first = worker(url)
    assert said_by(first) == "works"
    with open_store(url) as store:
        since = f"since {held(store).since:%Y-%m-%d %H:%M:%S} UTC"
        refusal = (
            f"the store has a predict worker already (process {first.pid} on {socket.gethostname()}, {since}); "
            "end that one first, or use another store"
        )
        assert worker_says(url) == refusal
        first.send_signal(signal.SIGSTOP)
        assert worker_says(url) == refusal
        while not store.swap_lease("predict", held(store), replace(held(store), beat=now() - 3600 * SECOND)):
            pass  # as if a clock had been set, or it stood still for an hour
        assert worker_says(url) == refusal
        first.kill()  # and nobody has waited for it yet: its parent, this process, still has its number
        second = worker(url)
        assert said_by(second) == "works"
        first.communicate()
        assert held(store).pid == second.pid
        second.kill()
        second.communicate()
        third = worker(url)
        assert said_by(third) == "works"
        third.communicate()  # its input ends, and so does it
        assert third.returncode == 0
        assert store.lease("predict") is None


def worker_says(url: str) -> str:
    process = worker(url)
    output, _ = process.communicate()
    return output.strip()
