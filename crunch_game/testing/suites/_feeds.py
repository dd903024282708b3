"""What any feed must do, as cases for pytest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from crunch_game._public import public
from crunch_game.feeds.base import Feed, Row
from crunch_game.storage import encode

PATIENCE = 10.0
"""Seconds after which a row is taken to never come."""

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@public
class FeedSuite:
    """What any feed must do. For a class that needs fixtures of its own; `feed_suite` is for all others.

    Attributes:
        count: So many rows, at least, the feed gives within some seconds of each start. At least 2.
    """

    count: int = 3

    def make(self, folder: Path) -> Feed:
        """Make a feed."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its feed is made")

    @pytest.fixture
    def feed(self, tmp_path: Path) -> Feed:
        """A new feed."""
        return self.make(tmp_path)

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        """Both event loops that games run on."""
        return cast(str, request.param)

    async def taken(self, feed: Feed, since: datetime | None = None, *, least: int | None = None) -> list[Row]:
        """Return the first rows: as many as it has if it ends."""
        found: list[Row] = []
        with anyio.move_on_after(PATIENCE):
            async with aclosing(cast(Any, feed.rows(since))) as rows:
                async for row in rows:
                    found.append(row)
                    if feed.live and len(found) == self.count:
                        break
        assert len(found) >= (self.count if least is None else least), f"{len(found)} rows within {PATIENCE:g} s"
        return found

    def test_it_says_whether_the_wall_clock_is_the_games(self, feed: Feed) -> None:
        assert feed.live in (True, False)

    @pytest.mark.anyio
    async def test_its_rows_have_times_in_utc_and_values_that_can_be_kept(self, feed: Feed) -> None:
        for row in await self.taken(feed):
            assert isinstance(row, Row)
            for time in (row.time, row.arrived):
                assert time is None or time.utcoffset() == timedelta(0), f"{time!r} is not aware, UTC"
            assert all(isinstance(name, str) for name in row.data)
            text = encode(dict(row.data))
            assert text is not None
            assert "NaN" not in text
            assert "Infinity" not in text

    @pytest.mark.anyio
    async def test_it_gives_only_what_is_later_than_the_row_that_a_game_has_already(self, feed: Feed) -> None:
        first, *_ = await self.taken(feed)
        again = await self.taken(feed, first.time, least=1)
        assert all(row.time > first.time for row in again)

    @pytest.mark.anyio
    async def test_a_game_that_has_every_row_gets_none_of_the_past(self, feed: Feed) -> None:
        if feed.live:
            pytest.skip("a live feed waits for what comes")
        rows = await self.taken(feed)
        assert await self.taken(feed, max(row.time for row in rows), least=0) == []

    @pytest.mark.anyio
    async def test_a_recording_gives_the_same_rows_each_time(self, feed: Feed) -> None:
        if feed.live:
            pytest.skip("a live feed goes on")
        rows = await self.taken(feed)
        assert await self.taken(feed) == rows
        assert await self.taken(feed, LONG_AGO) == rows

    @pytest.mark.anyio
    async def test_who_leaves_in_the_middle_may_begin_again(self, feed: Feed) -> None:
        with anyio.fail_after(2 * PATIENCE):
            for _ in range(2):
                async with aclosing(cast(Any, feed.rows())) as rows:
                    async for _ in rows:
                        break

    @pytest.mark.anyio
    async def test_it_ends_at_once_when_it_is_cancelled(self, feed: Feed) -> None:
        """While it waits for a row, too."""
        got = anyio.Event()

        async def follow() -> None:
            async with aclosing(cast(Any, feed.rows())) as rows:
                async for _ in rows:
                    got.set()
            got.set()

        with anyio.fail_after(2 * PATIENCE):
            async with anyio.create_task_group() as group:
                group.start_soon(follow)
                await got.wait()
                group.cancel_scope.cancel()


@public
def feed_suite(make: Callable[[Path], Feed], *, count: int = 3) -> type[FeedSuite]:
    """Return a class of tests, which pytest runs under a name that begins with Test.

    For example `TestMyFeed = feed_suite(lambda folder: MyFeed("wss://..."))`.

    Args:
        make: Makes a feed; it is given an empty folder for files.
        count: So many rows, at least, the feed gives within some seconds of each start. At least 2.
    """
    return type("FeedSuite", (FeedSuite,), {"make": lambda self, folder: make(folder), "count": count})
