"""PollingFeed: rows of a JSON endpoint that is asked repeatedly. The only user of httpx."""

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

from crunch_game._public import public
from crunch_game._quantities import Duration, seconds
from crunch_game.errors import FeedError
from crunch_game.faults import describe_exception
from crunch_game.feeds.base import FeedEvent, FeedGap, FeedTrouble, Row, RowDropped

_MIB = 2**20
_GZIP_OR_ZLIB = 47  # zlib's wbits to detect either format by its header
_MAX_RETRY_AFTER_SECONDS = 300.0
_TEMPORARY = (408, 425, 429)  # the 4xx for which the same request may succeed later


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after successive failures: longer each time, and at random so that clients do not retry in step.

    "Full jitter", of Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        first: The longest wait after the first failure, in seconds; it doubles with each further one.
        most: The longest wait of all, in seconds.
    """

    first: float = 0.5
    most: float = 30.0

    def wait(self, failures: int, luck: float, retry_after: float = 0.0) -> float:
        """Return the seconds to wait.

        Args:
            failures: How many polls failed in a row, from 1.
            luck: A random number in [0, 1).
            retry_after: The seconds that the server asks for; heeded up to 300.
        """
        doublings = min(failures - 1, 60)  # more would overflow, and exceed any `most`
        longest = min(self.most, self.first * 2.0**doublings)
        return max(luck * longest, min(retry_after, _MAX_RETRY_AFTER_SECONDS))


@public
class PollingFeed:
    """A live feed that polls a JSON endpoint at regular times.

    Any failure (no connection, no full answer in time, a status other than 2xx, a body that is not JSON or too
    large, an error of `parse`) is reported as FeedTrouble and tried again, after a wait that grows with the failures
    and heeds the server's Retry-After.

    Args:
        url: The http or https address. Redirects are not followed: they could send the headers to another host.
        parse: Turns a decoded JSON document into rows: an iterable of Row in any order, one Row, or None. Times must
            be aware.
        every: The time from the start of one poll to the start of the next.
        timeout: The time for one poll, from connecting to the last byte.
        gap: If rows are further apart than this, it is reported as FeedGap; None never reports.
        headers: Sent with each request.
        transport: An httpx transport instead of the network, for tests.
        max_bytes: The size limit of a body, compressed and decompressed.
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
        # Only what `_decompress` reads with a limit is asked for.
        self._headers = {"Accept-Encoding": "gzip, deflate"} | dict(headers or {})
        self._transport = transport
        self._max_bytes = max_bytes
        self._backoff = backoff or Backoff()

    async def rows(
        self, since: datetime | None = None, on_event: Callable[[FeedEvent], object] | None = None
    ) -> AsyncIterator[Row]:
        """Yield the rows later than `since` (UTC if it has no zone), as they come, without end.

        Rows that were yielded already are left out silently. `on_event` gets RowDropped for late rows, FeedGap and
        FeedTrouble. Use it with `contextlib.aclosing`, which closes the connection at once.

        Raises:
            FeedError: The status of the first answer says that the request is wrong.
        """
        tell = on_event or (lambda event: None)
        sieve = _Sieve(since, self._gap)
        # httpx limits only each single read, and a server could drip bytes for ever: _poll limits the whole instead.
        async with httpx.AsyncClient(headers=self._headers, transport=self._transport, timeout=None) as client:
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
        """Poll until it succeeds, and return the rows. Failures are reported."""
        failures = 0
        while True:
            try:
                return await self._poll(client)
            except _Failure as error:
                failure = error
            # A wrong address or a missing key at the start is the author's mistake; later it may be the server's.
            if first and failures == 0 and failure.is_permanent:
                raise FeedError(failure.reason) from failure
            failures += 1
            # The failures are counted for this poll alone: one success, and the next failure is retried soon again.
            retry_in = self._backoff.wait(failures, random.random(), failure.retry_after)
            tell(FeedTrouble(failure.reason, failures, retry_in))
            await anyio.sleep(retry_in)

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
        try:
            found: object = self._parse(document)
            items = list(found) if isinstance(found, Iterable) else [] if found is None else [found]
        except Exception as error:  # parse is the author's and may raise anything; the feed goes on
            raise _Failure(f"parse failed on what {_shown(self._url)} sent: {describe_exception(error)}") from error
        return [_normalized(item) for item in items]

    async def _body(self, client: httpx.AsyncClient) -> bytes:
        try:
            async with client.stream("GET", self._url) as response:
                if not response.is_success:
                    raise _refusal(self._url, response)
                packed = await self._read(response)
            return self._decompress(packed, response.headers.get("content-encoding", "identity").lower())
        except (httpx.HTTPError, OSError, zlib.error) as error:
            raise _Failure(f"{_shown(self._url)} could not be read: {describe_exception(error)}") from error

    async def _read(self, response: httpx.Response) -> bytes:
        if response.is_stream_consumed:  # as of httpx.MockTransport
            return self._within_limit(response.content)
        body = bytearray()
        # Breaking out of the loop would leave httpx's inner generators open; a cancellation closes them.
        with anyio.CancelScope() as reading:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._max_bytes:
                    reading.cancel()
        return self._within_limit(bytes(body))

    def _decompress(self, body: bytes, encoding: str) -> bytes:
        """Decompress a body up to the size limit, which httpx's own decompression does not have."""
        if encoding == "identity":
            return body
        if encoding not in ("gzip", "deflate"):
            raise _Failure(f"{_shown(self._url)} answered in {encoding!r}, but only gzip and deflate are read")
        decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
        content = self._within_limit(decompressor.decompress(body, self._max_bytes + 1))
        if not decompressor.eof:
            raise _Failure(f"{_shown(self._url)} answered with {encoding} data that ends too soon")
        return content

    def _within_limit(self, body: bytes) -> bytes:
        if len(body) > self._max_bytes:
            raise _Failure(f"{_shown(self._url)} answered with more than {self._max_bytes} bytes")
        return body


class _Failure(Exception):
    """A poll failed.

    Attributes:
        retry_after: The seconds that the server asks to wait.
        is_permanent: Whether asking again will not help.
    """

    def __init__(self, reason: str, *, retry_after: float = 0.0, is_permanent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.is_permanent = is_permanent


class _Sieve:
    """Passes each row once, in the order of their times, and reports what it leaves out."""

    def __init__(self, since: datetime | None, gap: timedelta | None) -> None:
        self._since = since if since is None or since.tzinfo else since.replace(tzinfo=UTC)
        self._gap = gap
        self._newest: Row | None = None
        # The rows of the last document, most of which the next one repeats.
        self._before: dict[datetime, list[Row]] = {}

    def sift(self, document: Iterable[Row]) -> Iterator[Row | FeedEvent]:
        """Yield the new rows of one document, and events, in order."""
        # Many endpoints send the newest row first.
        rows = sorted(document, key=lambda row: row.time)
        for row in rows:
            if self._since is not None and row.time <= self._since:
                continue
            if row == self._newest or row in self._before.get(row.time, ()):
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

    def _objection(self, row: Row) -> str | None:
        for name, value in row.data.items():
            if isinstance(value, float) and math.isinf(value):
                return f"the row of {row.time} was left out: {name} is {value}, and a value must be finite"
        if self._newest is None or row.time > self._newest.time:
            return None
        if row.time == self._newest.time:
            return f"a second row of {row.time} was left out: it differs from the one given before"
        return f"the row of {row.time} was left out: it came after the one of {self._newest.time}"


def _normalized(item: object) -> Row:
    """Return the row in UTC, without values that are NaN."""
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
    is_permanent = response.is_client_error and response.status_code not in _TEMPORARY
    if response.has_redirect_location:
        target = response.headers["location"].partition("?")[0]
        return _Failure(f"{reason}: it has moved to {target}; give that address, if you trust it", is_permanent=True)
    if is_permanent:
        reason += "; check the address and the headers"
    retry_after = _retry_after(response.headers.get("retry-after", ""))
    return _Failure(reason, retry_after=retry_after, is_permanent=is_permanent)


def _retry_after(text: str) -> float:
    """Return the seconds of a Retry-After header: a number or a date (RFC 9110, 10.2.3). Negative for a past date."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def _next_on_grid(due: float, every: float, now: float) -> float:
    """Return the first time from `now` on that is later than `due` by a multiple of `every`."""
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
    """Return the address without user, password and query, which may be secret."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))
