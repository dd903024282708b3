"""The feeds that come with the package pass the suite that an author's own is held against."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from crunch_game.feeds import Feed, PollingFeed, ReplayFeed, Row
from crunch_game.testing import FeedSuite, feed_suite

T0 = datetime(2024, 1, 1, tzinfo=UTC)


def recording(folder: Path) -> Feed:
    path = folder / "prices.csv"
    path.write_text("time,BTC\n2024-01-01,1\n2024-01-02,2.5\n2024-01-03,nan\n2024-01-04,4\n")
    return ReplayFeed(path)


TestReplayFeed = feed_suite(recording, count=4)


class TestPollingFeed(FeedSuite):
    @pytest.fixture
    def feed(self) -> Iterator[Feed]:
        """Of a server that has a newer price each time it is asked."""
        numbers = count()

        class Prices(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps({"n": next(numbers)}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        def parse(body: Any) -> Row:
            return Row(T0 + timedelta(seconds=body["n"]), {"BTC": float(body["n"])})

        with ThreadingHTTPServer(("127.0.0.1", 0), Prices) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            yield PollingFeed(f"http://127.0.0.1:{server.server_port}/", parse=parse, every=0.02)
            server.shutdown()
            thread.join()


class Again:
    """A recording that gives all of its rows, whatever the game has already, and one without a zone."""

    live = False

    async def rows(self, since: datetime | None = None, on_event: object = None) -> AsyncIterator[Row]:
        for n in range(3):
            yield Row(datetime(2024, 1, 1 + n), {"n": n})  # noqa: DTZ001


@pytest.mark.anyio
async def test_a_feed_with_a_fault_is_found() -> None:
    suite = FeedSuite()
    with pytest.raises(AssertionError, match="is not aware, UTC"):
        await suite.test_its_rows_have_times_in_utc_and_values_that_can_be_kept(Again())
    with pytest.raises(AssertionError):
        await suite.test_it_gives_only_what_is_later_than_the_row_that_a_game_has_already(Again())
