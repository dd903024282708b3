"""ReplayFeed over what a live game recorded: rows as they arrived, and the sessions in which they did."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest

from crunch_game.errors import FeedError
from crunch_game.feeds import ReplayFeed
from crunch_game.feeds.base import Row
from crunch_game.storage.base import Arrival, Session

START = datetime(2024, 1, 1, tzinfo=UTC)


def moment(second: float) -> datetime:
    return START + timedelta(seconds=second)


def row(second: float, price: float = 1.0, arrived: float | None = None) -> Row:
    return Row(moment(second), {"BTC": price, "ETH": "2.5"}, None if arrived is None else moment(arrived))


class OwnStore:
    """As an author may write one: of a Store, what a replay needs."""

    def __init__(self, arrivals: Sequence[Arrival], sessions: Sequence[Session] = ()) -> None:
        self.kept = list(arrivals)
        self.played = list(sessions)

    def arrivals(self, after: int = 0) -> list[tuple[int, Arrival]]:
        return [(number, arrival) for number, arrival in enumerate(self.kept, 1) if number > after]

    def predictions(self):
        return []

    def sessions(self) -> list[Session]:
        return self.played


LATE = [row(1, arrived=1.2), row(3, arrived=3.1), row(2, arrived=4.0), row(3, 3.5, arrived=4.1)]


def read(feed: ReplayFeed, since: datetime | None = None) -> list[Row]:
    async def gather() -> list[Row]:
        return [each async for each in feed.rows(since)]

    return asyncio.run(gather())


def arrivals(rows: list[Row]) -> list[datetime | None]:
    return [each.arrived for each in rows]


def test_rows_come_as_they_arrived_late_and_corrected_ones_too():
    feed = ReplayFeed(OwnStore([Arrival(each, 1) for each in LATE]))

    assert read(feed) == LATE
    assert arrivals(read(feed)) == arrivals(LATE)
    assert read(feed, since=moment(2)) == [LATE[1], LATE[3]]
    assert len(feed) == 4
    assert feed.live is False


def test_what_was_set_aside_is_in_the_recording_alone():
    ahead = Arrival(row(99, arrived=1.5), 1, "its time is 97 s ahead of the clock")
    session = Session(1, moment(0), moment(9), moment(3))
    feed = ReplayFeed(OwnStore([Arrival(LATE[0], 1), ahead, Arrival(LATE[1], 1)], [session]))

    assert read(feed) == LATE[:2]
    assert list(feed.recording.arrivals) == [Arrival(LATE[0], 1), ahead, Arrival(LATE[1], 1)]
    assert list(feed.recording.sessions) == [session]


def test_a_recording_is_read_when_it_is_asked_for():
    store = OwnStore([])
    feed = ReplayFeed(store)
    assert (read(feed), len(feed), list(feed.recording.arrivals)) == ([], 0, [])

    store.kept.append(Arrival(LATE[0], 1))

    assert (read(feed), len(feed), list(feed.recording.arrivals)) == ([LATE[0]], 1, [Arrival(LATE[0], 1)])


def test_a_recordings_rows_are_narrowed_and_cleaned():
    tokyo = Row(moment(1).astimezone(timezone(timedelta(hours=9))), {"BTC": 1.0, "ETH": float("nan"), "SOL": 3})
    feed = ReplayFeed(OwnStore([Arrival(tokyo)]), columns=["ETH", "BTC"])

    [found] = read(feed)
    assert found == Row(moment(1), {"BTC": 1.0})
    assert found.time.tzinfo is UTC


def test_a_worker_gets_only_the_values_that_were_asked_for():
    recording = ReplayFeed(OwnStore([Arrival(each, 1) for each in LATE]), columns=["ETH"]).recording

    assert recording is not None
    assert [each.row.data for each in recording.arrivals] == [{"ETH": "2.5"}] * 4
    assert arrivals([each.row for each in recording.arrivals]) == arrivals(LATE)


def test_a_recording_has_its_times():
    with pytest.raises(FeedError) as caught:
        ReplayFeed(OwnStore([]), time="date")
    assert str(caught.value) == "a store's rows have their times, and are of no tidy table: leave out time and pivot"


def test_no_other_source_is_a_recording():
    assert ReplayFeed([row(1)]).recording is None
    assert ReplayFeed(iter([row(1)])).recording is None


@pytest.mark.parametrize("kind", [list, iter])
def test_rows_that_have_arrived_keep_it_and_come_in_that_order(kind):
    """Their times need not increase."""
    rows = read(ReplayFeed(kind(LATE)))

    assert rows == LATE
    assert arrivals(rows) == arrivals(LATE)
    assert read(ReplayFeed([row(1), *LATE[1:]]))[0].arrived is None, "it is taken to have arrived at its time"


def test_rows_that_are_not_in_the_order_of_their_arrival_are_refused():
    with pytest.raises(FeedError) as caught:
        ReplayFeed(LATE[::-1])
    assert str(caught.value) == (
        "row 1: it arrived at 2024-01-01 00:00:04+00:00, before row 0, which arrived at "
        "2024-01-01 00:00:04.100000+00:00; sort rows by their arrival"
    )
