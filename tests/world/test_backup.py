"""A copy that is made while a game is played is a whole store, of one moment: as docs/operations.md says to make it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import world
from postgres import Server
from sqlalchemy import make_url

from crunch_game import ScoreWorker, Store, open_store

pytestmark = [pytest.mark.anyio]
BACKED_UP = 30


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def run(*command: str | Path) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr


def rows_of(store: Store, until: int) -> list[object]:
    return [each.data for each in store.rows()][:until]


async def assert_a_restored_copy_is_the_store_of_that_moment(
    url: str, back_up: Callable[[], None], restore: Callable[[], str]
) -> None:
    with open_store(url) as store:
        worker = await world.played(store, {BACKED_UP: back_up}, Path("no journal"))
        assert worker.ticks == world.ROWS
        whole, rows = list(store.predictions()), rows_of(store, world.ROWS)
    with open_store(restore()) as store:
        restored = rows_of(store, world.ROWS)
        assert BACKED_UP - 2 <= len(restored) <= BACKED_UP, "it is the store of the moment of the copy"
        assert restored == rows[: len(restored)]
        answers = list(store.predictions())
        newest = max(each.at for each in answers)
        assert answers == [each for each in whole if each.at <= newest], "no round in part, and none altered"
        ScoreWorker(world.game(None), store).step()
        assert store.scores()
        again = await world.replayed(store)
        assert (world.rounds(again), again.scores()) == (world.rounds(store), store.scores())
        last = store.rows()[-1].time
        worker = await world.played(store, {}, Path("no journal"), start=last)
        assert rows_of(store, world.ROWS) == rows, "the game goes on, with what its feed gives of the past"


async def test_vacuum_into(tmp_path: Path) -> None:
    path, copy = tmp_path / "game.db", tmp_path / "backup.db"

    def back_up() -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("VACUUM INTO ?", [str(copy)])

    def restore() -> str:
        copy.replace(path)
        return f"sqlite:///{path}"

    await assert_a_restored_copy_is_the_store_of_that_moment(f"sqlite:///{path}", back_up, restore)


@pytest.mark.processes
async def test_pg_dump(postgres: Server, tmp_path: Path) -> None:
    if shutil.which("pg_dump") is None or shutil.which("psql") is None:
        pytest.skip("there is no pg_dump, or no psql")
    url, dump = postgres.fresh(), tmp_path / "backup.sql"
    schema = str(make_url(url).query["schema"])
    server = make_url(postgres.url).set(drivername="postgresql").render_as_string(hide_password=False)

    def restore() -> str:
        postgres.sql(f"DROP SCHEMA {schema} CASCADE")
        run("psql", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={dump}", server)
        return url

    await assert_a_restored_copy_is_the_store_of_that_moment(
        url, lambda: run("pg_dump", f"--schema={schema}", f"--file={dump}", server), restore
    )
