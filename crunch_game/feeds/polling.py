"""Rows of a JSON endpoint that is asked again and again; the only user of httpx."""

from __future__ import annotations

import json
import math
import random
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
import httpx

from crunch_game.durations import Duration, seconds
from crunch_game.errors import FeedError
from crunch_game.feeds.base import FeedEvent, FeedGap, FeedTrouble, Row, RowDropped
from crunch_game.public import public

__all__ = ["Backoff", "PollingFeed"]

_MIB = 2**20
_GZIP_OR_ZLIB = 47  # zlib's wbits that tell the two apart by their headers
_LONGEST_RETRY_AFTER = 300.0
_PASSING = (408, 425, 429)  # 4xx that speak of the moment, not of the request


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after failures in a row: ever longer, and never in step with other clients.

    "Full jitter", of Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        first: The longest wait after the first failure, in seconds; it doubles with each further one.
        most: The longest wait of all, in seconds.
    """

    first: float = 0.5
    most: float = 30.0

    def wait(self, failures: int, luck: float, retry_after: float = 0.0) -> float:
        """The seconds to wait.

        Args:
            failures: How many polls failed in a row, from 1.
            luck: A random number in [0, 1).
            retry_after: The least seconds that the server asks for; taken up to 300.
        """
        doublings = min(failures - 1, 60)  # more would overflow, and pass any `most` anyway
        longest = min(self.most, self.first * 2.0**doublings)
        return max(luck * longest, min(retry_after, _LONGEST_RETRY_AFTER))


@public
class PollingFeed:
    """A live feed that asks a JSON endpoint on a steady grid of times.

    Whatever fails (no connection, no full answer in time, a status other than 2xx, a body that is no JSON
    or too large, `parse`) is told as FeedTrouble and tried again, after a wait that grows with the
    failures and heeds the server's Retry-After.

    Args:
        url: The http or https address. Redirects are not followed: they could carry the headers away.
        parse: Makes the rows of one decoded JSON document: an iterable of Row in any order, one Row, or
            None for none. Times must be aware.
        every: The time from one poll's start to the next one's.
        timeout: The most that one poll may take in all, from connecting to the last byte.
        gap: Rows further apart than this are told as FeedGap; None never tells.
        headers: Sent with each request.
        transport: An httpx transport instead of the network, for tests.
        max_bytes: The largest body that is read, packed or unpacked.
        backoff: The waits after failures.

    Raises:
        FeedError: The address is not one of http or https.
        GameError: A duration is not one.
    """

    live = True

    def __init__(
        self,
        url: str,
        *,
        parse: Callable[[Any], Iterable[Row] | Row | None],
        every: Duration = 1.0,
        timeout: Duration = 5.0,
        gap: Duration | None = None,
        headers: Mapping[str, str] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        max_bytes: int = 16 * _MIB,
        backoff: Backoff | None = None,
    ) -> None:
        self._url = _address(url)
        self._parse = parse
        self._every = seconds(every, "every")
        self._timeout = seconds(timeout, "timeout")
        self._gap = None if gap is None else timedelta(seconds=seconds(gap, "gap"))
        self._headers = {"Accept-Encoding": "gzip, deflate"} | dict(headers or {})
        self._transport = transport
        self._max_bytes = max_bytes
        self._backoff = backoff or Backoff()

    async def rows(
        self, since: datetime | None = None, on_event: Callable[[FeedEvent], object] | None = None
    ) -> AsyncIterator[Row]:
        """The rows later than `since` (UTC where it names no zone), as they come, without end.

        Rows that were given already are left out silently; `on_event` is told of late rows (RowDropped),
        of FeedGap, and of FeedTrouble. Leave it with `contextlib.aclosing`, so that the connection is
        closed at once.

        Raises:
            FeedError: The first poll was answered with a status that says that the request is wrong.
        """
        tell = on_event or _tell_nobody
        sieve = _Sieve(since, self._gap)
        async with self._client() as client:
            due = anyio.current_time()
            found = await self._ask(client, tell, first=True)
            while True:
                for item in sieve.sift(found):
                    if isinstance(item, Row):
                        yield item
                    else:
                        tell(item)
                due = _next_on_grid(due, self._every, anyio.current_time())
                await anyio.sleep_until(due)
                found = await self._ask(client, tell)

    async def _ask(
        self, client: httpx.AsyncClient, tell: Callable[[FeedEvent], object], *, first: bool = False
    ) -> list[Row]:
        """The rows of the next poll that succeeds; the failures before it are told."""
        failures = 0
        while True:
            try:
                return await self._poll(client)
            except _Failure as error:
                failure = error
            if first and failures == 0 and failure.lasting:
                raise FeedError(failure.reason) from failure
            failures += 1
            retry_in = self._backoff.wait(failures, random.random(), failure.retry_after)
            tell(FeedTrouble(failure.reason, failures, retry_in))
            await anyio.sleep(retry_in)

    def _client(self) -> httpx.AsyncClient:
        # httpx bounds each read by itself; a dripping server would never end. _poll bounds the whole.
        return httpx.AsyncClient(headers=self._headers, transport=self._transport, timeout=None)

    async def _poll(self, client: httpx.AsyncClient) -> list[Row]:
        body = None
        with anyio.move_on_after(self._timeout):
            body = await self._body(client)
        if body is None:
            raise _Failure(f"{_shown(self._url)} gave no full answer within {self._timeout:g} s")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _Failure(f"{_shown(self._url)} answered with something that is not JSON: {error}") from error
        return self._rows_of(document)

    async def _body(self, client: httpx.AsyncClient) -> bytes:
        try:
            async with client.stream("GET", self._url) as response:
                if not response.is_success:
                    raise _refusal(self._url, response)
                packed = await self._packed(response)
            return self._unpacked(packed, response.headers.get("content-encoding", "identity").lower())
        except (httpx.HTTPError, OSError, zlib.error) as error:
            said = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise _Failure(f"{_shown(self._url)} could not be read: {said}") from error

    async def _packed(self, response: httpx.Response) -> bytes:
        if response.is_stream_consumed:  # httpx.MockTransport gives answers that are read already
            return self._within_limit(response.content)
        body = bytearray()
        # Leaving the loop early would leave httpx's inner generators open; cancelling ends them all.
        with anyio.CancelScope() as reading:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._max_bytes:
                    reading.cancel()
        return self._within_limit(bytes(body))

    def _unpacked(self, body: bytes, encoding: str) -> bytes:
        """The body itself; httpx's own decoding has no limit to what a small body unpacks to."""
        if encoding == "identity":
            return body
        if encoding not in ("gzip", "deflate"):
            raise _Failure(f"{_shown(self._url)} answered in {encoding!r}, but only gzip and deflate are read")
        unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
        content = self._within_limit(unpacking.decompress(body, self._max_bytes + 1))
        if not unpacking.eof:
            raise _Failure(f"{_shown(self._url)} answered with {encoding} data that ends too soon")
        return content

    def _within_limit(self, body: bytes) -> bytes:
        if len(body) > self._max_bytes:
            raise _Failure(f"{_shown(self._url)} answered with more than {self._max_bytes} bytes")
        return body

    def _rows_of(self, document: object) -> list[Row]:
        try:
            found: object = self._parse(document)
            items = list(found) if isinstance(found, Iterable) else [] if found is None else [found]
        except Exception as error:  # whatever the author's code raises, the feed goes on
            said = f"{type(error).__name__}: {error}".removesuffix(": ")
            raise _Failure(f"parse failed on what {_shown(self._url)} sent: {said}") from error
        return [_clean(item) for item in items]


class _Failure(Exception):
    """A poll that gave no rows, and why.

    Attributes:
        retry_after: The least seconds to wait that the server asked for.
        lasting: True where asking again will not help.
    """

    def __init__(self, reason: str, *, retry_after: float = 0.0, lasting: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.lasting = lasting


class _Sieve:
    """Lets each row through once, in the order of their times, and says what it holds back."""

    def __init__(self, since: datetime | None, gap: timedelta | None) -> None:
        self._since = since if since is None or since.tzinfo else since.replace(tzinfo=UTC)
        self._gap = gap
        self._newest: Row | None = None
        self._before: dict[datetime, list[Row]] = {}  # the last document; the next repeats most of it

    def sift(self, document: Iterable[Row]) -> Iterator[Row | FeedEvent]:
        """The new ones among one document's rows, and what is to be told, in order."""
        rows = sorted(document, key=lambda row: row.time)
        for row in rows:
            if self._is_old_news(row):
                continue
            last = self._newest.time if self._newest else self._since
            reason = self._objection(row)
            if reason is not None:
                yield RowDropped(reason, row.time)
                continue
            if last is not None and self._gap is not None and row.time - last > self._gap:
                yield FeedGap(last, row.time)
            self._newest = row
            yield row
        self._before = {}
        for row in rows:
            self._before.setdefault(row.time, []).append(row)

    def _is_old_news(self, row: Row) -> bool:
        if self._since is not None and row.time <= self._since:
            return True
        return row == self._newest or row in self._before.get(row.time, ())

    def _objection(self, row: Row) -> str | None:
        for name, value in row.data.items():
            if isinstance(value, float) and math.isinf(value):
                return f"the row of {row.time} was left out: {name} is {value}, and a value must be finite"
        if self._newest is None or row.time > self._newest.time:
            return None
        if row.time == self._newest.time:
            return f"a second row of {row.time} was left out: it differs from the one given before"
        return f"the row of {row.time} was left out: it came after the one of {self._newest.time}"


def _clean(item: object) -> Row:
    """The row in UTC and without its NaN values."""
    if not isinstance(item, Row):
        raise _Failure(f"parse must give Row objects, not {type(item).__name__}")
    if not isinstance(item.time, datetime) or not isinstance(item.data, Mapping):
        raise _Failure(f"parse gave {item!r}; the time of a Row is a datetime, its data a mapping")
    if item.time.utcoffset() is None:
        raise _Failure(f"parse gave a row of {item.time}, which has no time zone; make its time aware")
    data = {name: value for name, value in item.data.items() if not (isinstance(value, float) and math.isnan(value))}
    return Row(item.time.astimezone(UTC), data)


def _refusal(url: httpx.URL, response: httpx.Response) -> _Failure:
    reason = f"{_shown(url)} answered {response.status_code} {response.reason_phrase}".rstrip()
    lasting = response.is_client_error and response.status_code not in _PASSING
    if response.has_redirect_location:
        target = response.headers["location"].partition("?")[0]
        return _Failure(f"{reason}: it has moved to {target}; give that address, if you trust it", lasting=True)
    if lasting:
        reason += "; check the address and the headers"
    return _Failure(reason, retry_after=_retry_after(response.headers.get("retry-after", "")), lasting=lasting)


def _retry_after(text: str) -> float:
    """The seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3); below 0 once it has passed."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def _next_on_grid(due: float, every: float, now: float) -> float:
    """The first time at or after `now` that is one or more times `every` later than `due`."""
    return due + every * max(1, math.ceil((now - due) / every))


def _address(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        address = httpx.URL()
    if address.scheme not in ("http", "https") or not address.host:
        raise FeedError(f"{url!r} is not the address of an endpoint; give one such as https://example.com/prices")
    return address


def _shown(url: httpx.URL) -> str:
    """The address without what may be secret: the name and password before the host, and the query."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _tell_nobody(event: FeedEvent) -> None:
    pass
