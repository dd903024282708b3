"""PollingFeed against a real HTTP server that misbehaves in every way it can, on asyncio and trio."""

from __future__ import annotations

import gzip
import json
import math
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anyio
import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.errors import FeedError, GameError
from crunch_game.feeds import PollingFeed
from crunch_game.feeds import _polling as polling
from crunch_game.feeds._polling import Backoff
from crunch_game.feeds.base import FeedEvent, FeedGap, FeedMoves, FeedStands, FeedTrouble, Row, RowDropped, ValueDropped

pytestmark = pytest.mark.anyio

START = datetime(2024, 1, 1, tzinfo=UTC)
AT_ONCE = Backoff(first=0.001, most=0.001)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


# The server: each answer is a function that plays one request; the last one is played again and again.


class Server(ThreadingHTTPServer):
    daemon_threads = False  # closing the server joins them, so that nothing outlives a test

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.answers: list[Callable[[Handler], None]] = []
        self.asked: list[Handler] = []
        self.paths: list[str] = []
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/prices"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self)
        self.server.paths.append(self.path)
        answers = self.server.answers
        try:
            (answers.pop(0) if len(answers) > 1 else answers[0])(self)
        except OSError:
            self.close_connection = True  # the client has hung up, as it should

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(*answers: Callable[[Handler], None], port: int = 0) -> Iterator[Server]:
    with Server(port) as server:
        server.answers.extend(answers)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()


def sends(body: bytes | object, status: int = 200, **headers: str) -> Callable[[Handler], None]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def stalls(handler: Handler) -> None:
    handler.server.over.wait()
    handler.close_connection = True


def drips(handler: Handler) -> None:
    """One byte at a time: no single read is slow, the whole has no end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    while not handler.server.over.wait(0.005):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def floods(handler: Handler) -> None:
    """A body without end, as fast as it is taken."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(10**12))
    handler.end_headers()
    while not handler.server.over.is_set():
        handler.wfile.write(b" " * 2**16)


def closes_mid_body(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"[")
    handler.close_connection = True


def hangs_up(handler: Handler) -> None:
    handler.close_connection = True


def babbles(handler: Handler) -> None:
    handler.wfile.write(b"this is no HTTP\r\n\r\n")
    handler.close_connection = True


# The feed


def moment(second: float) -> datetime:
    return START + timedelta(seconds=second)


def row(second: float, price: float = 1.0) -> Row:
    return Row(moment(second), {"BTC": price})


def rows_of(document: list[list[float]]) -> list[Row]:
    return [row(second, price) for second, price in document]


def feed_of(server: Server, **options: object) -> PollingFeed:
    return PollingFeed(server.url, **{"parse": rows_of, "every": 0.001, "backoff": AT_ONCE} | options)


async def take(
    feed: PollingFeed, count: int, since: datetime | None = None, tell: Callable[[FeedEvent], object] | None = None
) -> list[Row]:
    taken: list[Row] = []
    async with aclosing(feed.rows(since, tell)) as rows:
        while len(taken) < count:
            taken.append(await anext(rows))
    return taken


GOOD = sends([[1, 1.0]])


async def trouble_with(answer: Callable[[Handler], None], **options: object) -> FeedTrouble:
    """What is told of a second poll that is answered so, with the address written as URL."""
    events: list[FeedEvent] = []
    with serving(GOOD, answer, sends([[2, 2.0]])) as server:
        assert await take(feed_of(server, **options), 2, tell=events.append) == [row(1), row(2, 2.0)]
    (event,) = events
    assert isinstance(event, FeedTrouble)
    assert event.failures == 1
    return FeedTrouble(event.reason.replace(server.url, "URL"), event.failures, event.retry_in)


async def test_rows_come_in_order_whatever_their_order_in_the_document():
    with serving(sends([[3, 3.0], [1, 1.0], [2, 2.0]])) as server:
        feed = feed_of(server)

        assert feed.live is True
        assert await take(feed, 3) == [row(1, 1.0), row(2, 2.0), row(3, 3.0)]


async def test_headers_are_sent():
    with serving(GOOD) as server:
        await take(feed_of(server, headers={"X-Key": "secret"}), 1)

    assert server.asked[0].headers["X-Key"] == "secret"
    assert server.asked[0].headers["Accept-Encoding"] == "gzip, deflate"


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compressed_answer_is_read(encoding, pack):
    with serving(sends(pack(b"[[1, 1.0]]"), Content_Encoding=encoding)) as server:
        assert await take(feed_of(server), 1) == [row(1)]


async def test_one_row_none_and_a_generator_are_good_answers_of_parse():
    answers = iter([None, row(1), (r for r in [row(2), row(3)]), []])

    with serving(sends({})) as server:
        feed = feed_of(server, parse=lambda document: next(answers))
        assert await take(feed, 3) == [row(1), row(2), row(3)]


async def test_times_of_other_zones_are_given_in_utc_and_nan_is_left_out():
    tokyo = timezone(timedelta(hours=9))
    found = Row(moment(1).astimezone(tokyo), {"BTC": 1.0, "ETH": math.nan, "book": [1]})

    with serving(sends({})) as server:
        (taken,) = await take(feed_of(server, parse=lambda document: found), 1)

    assert taken == Row(moment(1), {"BTC": 1.0, "book": [1]})
    assert taken.time.tzinfo is UTC


# What fails is told and tried again


async def test_a_status_that_is_not_2xx_is_told():
    assert (await trouble_with(sends(b"", 500))).reason == "URL answered 500 Internal Server Error"


async def test_a_later_404_is_told():
    assert (await trouble_with(sends(b"", 404))).reason == (
        "URL answered 404 Not Found; check the address and the headers"
    )


async def test_a_later_redirect_is_told_and_not_followed():
    assert (await trouble_with(sends(b"", 302, Location="https://elsewhere.example/p?key=1"))).reason == (
        "URL answered 302 Found: it has moved to https://elsewhere.example/p; give that address, if you trust it"
    )


@pytest.mark.parametrize("answer", [stalls, drips])
async def test_a_server_that_stalls_or_drips_is_given_up_at_the_timeout(answer):
    assert (await trouble_with(answer, timeout="500ms")).reason == "URL gave no full answer within 0.5 s"


async def test_leaving_in_the_middle_of_a_poll_is_no_failure():
    events: list[FeedEvent] = []
    with serving(stalls) as server, anyio.move_on_after(0.05) as scope:
        await take(feed_of(server), 1, tell=events.append)

    assert scope.cancelled_caught
    assert events == []


async def test_a_body_that_is_not_json_is_told():
    assert (await trouble_with(sends(b"<html>"))).reason == (
        "URL answered with something that is not JSON: Expecting value: line 1 column 1 (char 0)"
    )


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\xfd", b"[" * 200_000, b"[[1, 1.0]"])
async def test_no_junk_stops_the_feed(body):
    assert (await trouble_with(sends(body))).reason.startswith("URL answered with something that is not JSON: ")


async def test_a_body_that_is_too_large_is_told():
    assert (await trouble_with(sends(b" " * 1001), max_bytes=1000)).reason == "URL answered with more than 1000 bytes"


async def test_a_body_without_end_is_left_at_the_limit():
    assert (await trouble_with(floods, max_bytes=10**6)).reason == "URL answered with more than 1000000 bytes"


async def test_a_body_that_unpacks_too_large_is_told():
    bomb = sends(gzip.compress(b" " * 10_000_000), Content_Encoding="gzip")

    assert (await trouble_with(bomb, max_bytes=100_000)).reason == "URL answered with more than 100000 bytes"


def test_a_small_body_that_unpacks_to_much_takes_no_memory():
    feed = PollingFeed("https://example.com", parse=rows_of, max_bytes=100_000)
    bomb = gzip.compress(b" " * 50_000_000, 1)

    tracemalloc.start()
    try:
        with pytest.raises(polling._Failure):
            feed._decompress(bomb, "gzip", httpx.URL("https://example.com"))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


async def test_a_compressed_answer_that_ends_too_soon_is_told():
    cut = sends(gzip.compress(b"[[1, 1.0]]")[:-9], Content_Encoding="gzip")

    assert (await trouble_with(cut)).reason == "URL answered with gzip data that ends too soon"


async def test_an_encoding_that_was_not_asked_for_is_told():
    assert (await trouble_with(sends(b"", Content_Encoding="br"))).reason == (
        "URL answered in 'br', but only gzip and deflate are read"
    )


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (closes_mid_body, "RemoteProtocolError: peer closed connection without sending complete message body"),
        (hangs_up, "RemoteProtocolError: Server disconnected without sending a response."),
        (babbles, "RemoteProtocolError: illegal status line"),
        (sends(b"junk", Content_Encoding="gzip"), "error: Error -3 while decompressing data: incorrect header check"),
    ],
)
async def test_a_broken_answer_is_told(answer, error):
    assert (await trouble_with(answer)).reason.startswith(f"URL could not be read: {error}")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"a": 1}["a"], "a Row is due, not an int"),
        ("text", "a Row is due, not a str"),
        ([{"time": 3}, {"time": 4}], "a Row is due, not a dict"),
        (
            Row(datetime(2024, 1, 1), {}),  # noqa: DTZ001
            "the time 2024-01-01 00:00:00 of a row has no time zone; make it aware, such as by .replace(tzinfo=UTC)",
        ),
        (Row("2024", {}), "the time of a Row is an aware datetime, not '2024'"),
    ],
)
async def test_what_parse_gives_must_be_rows(answer, reason):
    answers = iter([row(1), answer, row(2, 2.0)])

    trouble = await trouble_with(GOOD, parse=lambda document: next(answers))

    assert trouble.reason == f"parse gave no row that can be read: {reason}"


async def test_a_row_that_cannot_be_read_holds_up_no_other_and_is_told_once_while_it_lasts():
    """As of an endpoint that lists an asset which has no trade yet."""
    bad = [Row(None, {}), Row(None, {}), {"time": 3}]
    answers = iter([[*bad, row(1)], [*bad, row(2)], [row(3)], [bad[0], row(4)]])
    events: list[FeedEvent] = []

    with serving(GOOD) as server:
        feed = feed_of(server, parse=lambda document: next(answers))
        assert await take(feed, 4, tell=events.append) == [row(1), row(2), row(3), row(4)]

    reason = "the time of a Row is an aware datetime, not None"
    assert events == [RowDropped(f"{reason}; 2 others too"), RowDropped(reason)]


async def test_the_parse_of_the_documents_gives_prices_that_are_text():
    """An exchange's endpoint writes prices as text, so that nobody rounds them."""

    def parse(document):
        return Row(datetime.fromtimestamp(document["time"], UTC), {"BTC": document["price"], "ETH": document["eth"]})

    with serving(sends({"time": 1704153600, "price": "63012.5", "eth": None})) as server:
        events: list[FeedEvent] = []
        [found] = await take(feed_of(server, parse=parse), 1, tell=events.append)

    assert found.prices == {"BTC": 63012.5}
    assert events == [ValueDropped("ETH", "it is missing (None)", found.time)]


async def test_a_parse_that_exits_ends_no_feed():
    def parse(document):
        if document == {}:
            raise SystemExit("no prices")
        return rows_of(document)

    assert (await trouble_with(sends({}), parse=parse)).reason == "parse failed on what URL sent: SystemExit: no prices"


@pytest.mark.parametrize(
    ("document", "error"), [({}, "KeyError: 'prices'"), (5, "TypeError: 'int' object is not iterable")]
)
async def test_an_error_of_parse_is_told_even_from_a_generator(document, error):
    def parse(document):
        yield from rows_of(document["prices"] if document == {} else document)

    assert (await trouble_with(sends(document), parse=parse)).reason == f"parse failed on what URL sent: {error}"


async def test_failures_are_counted_until_a_success():
    events: list[FeedEvent] = []
    bad = sends(b"", 503)

    with serving(bad, bad, GOOD, bad, sends([[2, 1.0]])) as server:
        await take(feed_of(server), 2, tell=events.append)

    assert [event.failures for event in events] == [1, 2, 1]


async def test_a_server_that_is_not_there_yet_is_waited_for():
    with serving() as gone:
        port = gone.server_port
    events: list[FeedEvent] = []
    back: list[object] = []

    def come_back(event: FeedEvent) -> None:
        events.append(event)
        if not back:
            back.append(serving(GOOD, port=port))
            back[0].__enter__()

    try:
        assert await take(feed_of(gone), 1, tell=come_back) == [row(1)]
    finally:
        back[0].__exit__(None, None, None)
    (trouble,) = events
    assert trouble.reason.startswith(f"{gone.url} could not be read: ConnectError: ")


async def test_the_address_is_told_without_its_secrets():
    with serving(sends(b"", 500), GOOD) as server:
        secret = server.url.replace("http://", "http://me:password@") + "?key=1234#part"
        events: list[FeedEvent] = []
        await take(PollingFeed(secret, parse=rows_of, backoff=AT_ONCE), 1, tell=events.append)

    assert events[0].reason == f"{server.url} answered 500 Internal Server Error"
    assert server.asked[0].path == "/prices?key=1234"


# A wrong address


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_a_wrong_request_is_an_error_at_once(status):
    with serving(sends(b"", status)) as server, pytest.raises(FeedError) as caught:
        await take(feed_of(server), 1)

    assert str(caught.value).startswith(f"{server.url} answered {status} ")
    assert str(caught.value).endswith("; check the address and the headers")
    assert len(server.asked) == 1


async def test_a_redirect_is_an_error_at_once():
    with serving(sends(b"", 301, Location="/new?key=1")) as server, pytest.raises(FeedError) as caught:
        await take(feed_of(server), 1)

    assert str(caught.value) == (
        f"{server.url} answered 301 Moved Permanently: it has moved to /new; give that address, if you trust it"
    )


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_a_passing_status_is_tried_again_even_at_first(status):
    with serving(sends(b"", status), GOOD) as server:
        assert await take(feed_of(server), 1) == [row(1)]


async def test_a_404_after_a_failed_first_poll_is_no_error():
    with serving(sends(b"", 500), sends(b"", 404), GOOD) as server:
        assert await take(feed_of(server), 1) == [row(1)]


@pytest.mark.parametrize("url", ["prices.json", "ftp://example.com/x", "http://", "", "http://a:b:c/", None])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(FeedError) as caught:
        PollingFeed(url, parse=rows_of)
    assert str(caught.value) == (
        f"{url!r} is not the address of an endpoint; give one such as https://example.com/prices"
    )


@pytest.mark.parametrize("name", ["every", "timeout", "gap"])
def test_durations_are_checked(name):
    with pytest.raises(GameError, match=f"{name} -1 must be longer than zero and finite"):
        PollingFeed("https://example.com", parse=rows_of, **{name: -1})


# Repeats, late rows, gaps


async def events_of(*documents: list[list[float]], count: int, since: datetime | None = None, **options: object):
    """The rows and what was told, for a server that sends these documents one after the other."""
    events: list[FeedEvent] = []
    with serving(*map(sends, documents)) as server:
        rows = await take(feed_of(server, **options), count, since, events.append)
    return rows, events


async def test_repeats_are_left_out_silently():
    window = [[1, 1.0], [2, 2.0]]

    rows, events = await events_of(window, window, [], [[2, 2.0]], [*window, [3, 3.0]][1:], count=3)

    assert rows == [row(1, 1.0), row(2, 2.0), row(3, 3.0)]
    assert events == []


async def test_a_late_row_and_a_corrected_one_are_passed_once():
    """The game keeps them for the truth, and tells nobody."""
    rows, events = await events_of([[2, 2.0]], [[1, 1.0], [2, 2.5]], [[1, 1.0], [2, 2.5]], [[3, 3.0]], count=4)

    assert rows == [row(2, 2.0), row(1, 1.0), row(2, 2.5), row(3, 3.0)]
    assert events == []


async def test_a_row_from_the_future_silences_nobody():
    """One that is dated a day ahead, as of an endpoint with a wrong time zone."""
    ahead = (datetime.now(UTC) - START + timedelta(days=1)).total_seconds()

    rows, events = await events_of([[1, 1.0], [ahead, 9.0]], [[2, 2.0], [ahead, 9.0]], [[8, 3.0]], count=4, gap="5s")

    assert rows == [row(1, 1.0), row(ahead, 9.0), row(2, 2.0), row(8, 3.0)]
    assert events == [FeedGap(moment(2), moment(8))]


async def test_an_infinite_value_is_left_out_of_its_row_and_told_once():
    rows, events = await events_of([[1, -math.inf], [2, 2.0]], [[3, -math.inf]], count=3)

    assert rows == [Row(moment(1), {}), row(2, 2.0), Row(moment(3), {})]
    assert events == [ValueDropped("BTC", "it is -inf; a value must be finite, or left out", moment(1))]


@pytest.mark.parametrize("since", [moment(2), moment(2).replace(tzinfo=None)])
async def test_rows_up_to_since_are_left_out_silently(since):
    rows, events = await events_of([[1, 1.0], [2, 9.0], [3, 3.0]], count=1, since=since)

    assert rows == [row(3, 3.0)]
    assert events == []


async def test_a_gap_is_told_between_the_rows_and_from_since():
    rows, events = await events_of([[10, 1.0], [15, 1.0]], [[20.5, 1.0]], count=3, since=moment(0), gap="5s")

    assert len(rows) == 3
    assert events == [FeedGap(moment(0), moment(10)), FeedGap(moment(15), moment(20.5))]


async def test_without_a_gap_silence_is_not_told():
    assert (await events_of([[1, 1.0]], [[10_000, 1.0]], count=2))[1] == []


# Waiting


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7), ("100000", 300, 300), ("", 0, 0.001), ("soon", 0, 0.001), ("-5", 0, 0.001)],
)
def test_retry_after_is_honoured_up_to_five_minutes(header, least, most):
    assert least <= told_wait(header) <= most


def test_retry_after_may_be_a_date():
    assert 50 < told_wait(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)) <= 60
    assert told_wait(format_datetime(datetime.now(UTC) - timedelta(seconds=60), usegmt=True)) <= 0.001
    assert told_wait("Mon, 01 Jan 2024 00:00:00 -0000") <= 0.001


def told_wait(retry_after: str) -> float:
    answers = iter([httpx.Response(503, headers={"Retry-After": retry_after}), httpx.Response(200, json=[[1, 1.0]])])
    feed = PollingFeed(
        "http://example.com",
        parse=rows_of,
        backoff=AT_ONCE,
        transport=httpx.MockTransport(lambda request: next(answers)),
    )
    events: list[FeedEvent] = []
    began = on_virtual_time(lambda: take(feed, 1, tell=events.append))
    (event,) = events
    assert began == pytest.approx(event.retry_in), "it waits as long as it says"
    return event.retry_in


def on_virtual_time(work: Callable[[], object]) -> float:
    """The virtual seconds that the work took; waiting costs no real time."""

    async def timed() -> float:
        began = trio.current_time()
        await work()
        return trio.current_time() - began

    return trio.run(timed, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize(("poll_takes", "starts"), [(0.25, [0, 1, 2, 3]), (2.5, [0, 3, 6, 9]), (1.0, [0, 1, 2, 3])])
def test_polls_start_on_a_steady_grid(poll_takes, starts):
    started: list[float] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        started.append(anyio.current_time())
        await anyio.sleep(poll_takes)
        return httpx.Response(200, json=[[len(started), 1.0]])

    feed = PollingFeed("http://example.com", parse=rows_of, every=1, transport=httpx.MockTransport(answer))
    on_virtual_time(lambda: take(feed, 4))

    assert [start - started[0] for start in started] == pytest.approx(starts)


def test_the_grid_is_kept_after_failures():
    started: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        started.append(anyio.current_time())
        return httpx.Response(503 if len(started) == 2 else 200, json=[[len(started), 1.0]])

    feed = PollingFeed(
        "http://example.com",
        parse=rows_of,
        every=10,
        backoff=Backoff(first=9.0),
        transport=httpx.MockTransport(answer),
    )
    on_virtual_time(lambda: take(feed, 3))

    first, failed, again, last = (start - started[0] for start in started)
    assert (first, failed, last) == pytest.approx((0, 10, 20))
    assert 10 <= again <= 19


@given(st.floats(0, 1e6), st.floats(1e-3, 1e5), st.floats(0, 1e6))
def test_the_next_poll_is_on_the_grid_and_not_in_the_past(due, every, later):
    following = polling._next_on_grid(due, every, due + later)
    steps = (following - due) / every

    assert steps >= 0.999
    assert steps == pytest.approx(round(steps), abs=1e-3)
    assert -1e-6 <= following - (due + later) <= every + 1e-6 or following == due + every


lucks = st.floats(0, 1, exclude_max=True, allow_subnormal=False)  # their halves are rounded


@given(st.integers(1, 10**6), lucks)
def test_a_wait_is_a_share_of_a_doubling_bound(failures, luck):
    wait = Backoff(first=0.5, most=30.0).wait(failures, luck)

    assert 0 <= wait <= 30
    if failures <= 6:
        assert wait == luck * 0.5 * 2 ** (failures - 1)
    else:
        assert wait == luck * 30


@given(st.integers(1, 100), lucks, st.floats(0, 1e9))
def test_the_servers_wish_is_the_least_wait_up_to_a_limit(failures, luck, wish):
    wait = Backoff().wait(failures, luck, wish)

    assert wait >= min(wish, 300)
    assert wait == max(Backoff().wait(failures, luck), min(wish, 300))


def test_the_default_backoff_is_the_documented_one():
    assert Backoff() == Backoff(first=0.5, most=30.0)


# Standing still


def polled_on_virtual_time(documents: Callable[[float], object], seconds: float, **options: object) -> list[FeedEvent]:
    """What is told of an endpoint that answers so, by the seconds since the beginning, for so long."""
    events: list[FeedEvent] = []

    async def poll() -> None:
        began = anyio.current_time()
        answer = httpx.MockTransport(
            lambda request: httpx.Response(200, json=documents(round(anyio.current_time() - began, 3)))
        )
        feed = PollingFeed("http://example.com", **{"parse": rows_of, "transport": answer} | options)
        with anyio.move_on_after(seconds):
            await take(feed, 10**9, tell=events.append)

    on_virtual_time(poll)
    return events


def stood(events: list[FeedEvent]) -> list[tuple[str, float]]:
    return [(type(event).__name__, pytest.approx(event.seconds, abs=0.01)) for event in events]


@pytest.mark.parametrize(
    "document", [[[1, 1.0]], [], lambda second: [[1, second]]], ids=["the same", "nothing", "a price without a time"]
)
def test_a_feed_that_stands_still_is_told_of_while_it_does(document):
    """An endpoint that repeats one timestamp was played on, with perfect scores."""
    documents = document if callable(document) else lambda second: document

    events = polled_on_virtual_time(documents, 300.5)

    assert stood(events) == [("FeedStands", 60), ("FeedStands", 120), ("FeedStands", 240)]
    assert events[0].newest == (None if document == [] else moment(1))


def test_a_feed_that_goes_on_is_told_of():
    events = polled_on_virtual_time(lambda second: [[max(second, 90), 1.0]], 200.5)

    assert stood(events) == [("FeedStands", 60), ("FeedMoves", 91)]
    assert all(isinstance(event, FeedStands | FeedMoves) for event in events)


@pytest.mark.parametrize(("options", "first"), [({"gap": "5s"}, 5), ({"every": 30}, 300), ({"every": 0.5}, 60)])
def test_how_long_is_too_long_is_the_gap_or_a_minute_or_ten_polls(options, first):
    events = polled_on_virtual_time(lambda second: [[1, 1.0]], first + 1, **options)

    assert stood(events) == [("FeedStands", first)]


# The past


def pages(handler: Handler) -> None:
    """An endpoint with history: at most three rows after the one that is asked for, of which there are ten."""
    after = int(handler.path.partition("after=")[2])
    sends([[second, float(second)] for second in range(after + 1, min(after + 4, 11))])(handler)


def after_of(time: datetime) -> str:
    return f"/history?after={int((time - START).total_seconds())}"


def by_path(live: Callable[[Handler], None], past: Callable[[Handler], None] = pages) -> Callable[[Handler], None]:
    return lambda handler: (past if handler.path.startswith("/history") else live)(handler)


async def test_what_was_missed_while_the_game_was_down_is_fetched_page_by_page():
    with serving(by_path(sends([[10, 10.0], [11, 11.0]]))) as server:
        rows = await take(feed_of(server, past=after_of), 9, since=moment(2))

    assert rows == [row(second, float(second)) for second in range(3, 12)]
    assert [path for path in server.paths if path != "/prices"] == [
        f"/history?after={second}" for second in (2, 5, 8, 10)
    ], "each from the newest row on, until one brings nothing newer"


async def test_at_the_very_first_start_nothing_was_missed():
    with serving(by_path(sends([[11, 11.0]]))) as server:
        assert await take(feed_of(server, past=after_of), 1) == [row(11, 11.0)]

    assert server.paths == ["/prices"]


async def test_the_past_may_be_elsewhere_and_look_otherwise():
    def parse_past(document):
        return [row(second, price) for second, price in document["old"]]

    old = sends({"old": [[2, 2.0]]})
    with serving(old) as archive, serving(sends([[3, 3.0]])) as server:
        feed = feed_of(server, past=lambda time: f"{archive.url}?from={time:%H}", parse_past=parse_past)
        assert await take(feed, 2, since=moment(1)) == [row(2, 2.0), row(3, 3.0)]

    assert archive.paths[0] == "/prices?from=00"


def test_what_was_missed_in_an_outage_is_fetched_and_in_a_short_one_not():
    """Polls at 0, 1, 2, ...; the server is down from 3.5 to 6.5, and again for a moment at 9."""
    asked: list[str] = []

    async def play() -> list[Row]:
        began = anyio.current_time()

        def answer(request: httpx.Request) -> httpx.Response:
            second = anyio.current_time() - began
            if "after" in request.url.params:
                asked.append(request.url.params["after"])
                return httpx.Response(200, json=[[n, float(n)] for n in range(int(asked[-1]) + 1, int(second) + 1)])
            if 3.5 < second < 6.5 or 8.9 < second < 9.05:
                return httpx.Response(503)
            return httpx.Response(200, json=[[int(second), float(int(second))]])

        feed = PollingFeed(
            "http://example.com/",
            parse=rows_of,
            past=lambda time: f"?after={int((time - START).total_seconds())}",
            backoff=Backoff(first=0.1, most=0.1),
            transport=httpx.MockTransport(answer),
        )
        return await take(feed, 12)

    found: list[list[Row]] = []

    async def keep() -> None:
        found.append(await play())

    on_virtual_time(keep)

    assert found == [[row(second, float(second)) for second in range(12)]]
    assert asked == ["3", "6"], "a page, and one that says that there is no more"


@pytest.mark.parametrize(
    ("past", "answer", "reason"),
    [
        (after_of, sends(b"", 404), "URL/history answered 404 Not Found; check the address and the headers"),
        (after_of, sends(b"", 500), "URL/history answered 500 Internal Server Error"),
        (after_of, sends(b"no"), "URL/history answered with something that is not JSON: Expecting value: "),
        (lambda time: time.nowhere, pages, "past failed on 2024-01-01 00:00:01+00:00: AttributeError: "),
        (lambda time: None, pages, "past failed on 2024-01-01 00:00:01+00:00: "),
        (lambda time: "ftp://x/", pages, "past failed on 2024-01-01 00:00:01+00:00: FeedError: 'ftp://x/' is not the "),
    ],
)
async def test_a_past_that_cannot_be_fetched_is_told_and_holds_up_nothing(past, answer, reason):
    events: list[FeedEvent] = []
    with serving(by_path(sends([[11, 11.0]]), answer)) as server:
        rows = await take(feed_of(server, past=past), 1, since=moment(1), tell=events.append)

    assert rows == [row(11, 11.0)]
    told = "the rows after 2024-01-01 00:00:01+00:00 could not be fetched, and are missing: "
    root = server.url.removesuffix("/prices")
    assert events[-1].reason.replace(root, "URL").startswith(told + reason)
    assert len(events) == (1 if "404" in reason or "past failed" in reason else 3)
