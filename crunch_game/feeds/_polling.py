"""PollingFeed: rows of a JSON endpoint that is asked repeatedly. The only user of httpx."""

from __future__ import annotations

import json
import math
import random
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
import httpx

from crunch_game._public import public
from crunch_game._quantities import Duration, counted, seconds
from crunch_game.errors import FeedError
from crunch_game.faults import describe_exception
from crunch_game.feeds._cleaning import Cleaner
from crunch_game.feeds._sieve import Sieve
from crunch_game.feeds._standstill import Standstill
from crunch_game.feeds.base import FeedEvent, FeedTrouble, Row, RowDropped

_MIB = 2**20
_GZIP_OR_ZLIB = 47  # zlib's wbits to detect either format by its header
_MAX_RETRY_AFTER_SECONDS = 300.0
_TRIES = 3  # for a page of the past
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


@dataclass
class _Run:
    """One run of a feed: from one call of `rows` to its end."""

    client: httpx.AsyncClient
    sieve: Sieve
    tell: Callable[[FeedEvent], object]
    clean: Callable[[object], Row]
    drops: bool = False
    """Whether the last document had rows that could not be read."""


@public
class PollingFeed:
    """A live feed that polls a JSON endpoint at regular times.

    Any failure (no connection, no full answer in time, a status other than 2xx, a body that is not JSON or too
    large, an error of `parse`) is reported as FeedTrouble and tried again, after a wait that grows with the failures
    and heeds the server's Retry-After.

    Args:
        url: The http or https address. Redirects are not followed: they could send the headers to another host.
        parse: Turns a decoded JSON document into rows: an iterable of Row in any order, one Row, or None. Times must
            be aware. Rows are cleaned, see `crunch_game.feeds.cleaned`; those of one time that have no name in common
            are joined.
        every: The time from the start of one poll to the start of the next.
        timeout: The time for one poll, from connecting to the last byte.
        gap: If rows are further apart than this, it is reported as FeedGap, and if no newer row has come for so long,
            as FeedStands. Without it, gaps are not reported, and a standstill is after a minute or ten polls, whichever
            is longer.
        headers: Sent with each request.
        past: Gives the address that has the rows after a time, full or relative to `url`. What was missed while the
            game was down, and in an outage longer than a poll, is fetched from there, page by page.
        parse_past: Turns its documents into rows; `parse` unless given.
        transport: An httpx transport instead of the network, for tests.
        max_bytes: The size limit of a body, compressed and decompressed.
        backoff: The waits after failures.

    Raises:
        FeedError: The address is not one of http or https.
        GameError: A duration is not one.
    """

    live = True
    tells_of_standstills = True
    """A worker watches over feeds that do not tell themselves."""

    def __init__(
        self,
        url: str,
        *,
        parse: Callable[[Any], Iterable[Row] | Row | None],
        every: Duration = 1.0,
        timeout: Duration = 5.0,
        gap: Duration | None = None,
        headers: Mapping[str, str] | None = None,
        past: Callable[[datetime], str] | None = None,
        parse_past: Callable[[Any], Iterable[Row] | Row | None] | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        max_bytes: int = 16 * _MIB,
        backoff: Backoff | None = None,
    ) -> None:
        self._url = _address(url)
        self._parse = parse
        self._past = past
        self._parse_past = parse_past or parse
        self._every = seconds(every, "every")
        self._timeout = seconds(timeout, "timeout")
        self._gap = None if gap is None else timedelta(seconds=seconds(gap, "gap"))
        self._stands_after = max(60.0, 10 * self._every) if self._gap is None else self._gap.total_seconds()
        # Only what `_decompress` reads with a limit is asked for.
        self._headers = {"Accept-Encoding": "gzip, deflate"} | dict(headers or {})
        self._transport = transport
        self._max_bytes = max_bytes
        self._backoff = backoff or Backoff()

    async def rows(
        self, since: datetime | None = None, on_event: Callable[[FeedEvent], object] | None = None
    ) -> AsyncIterator[Row]:
        """Yield the rows later than `since` (UTC if it has no zone), as they come, without end.

        Exact repetitions are left out silently. Late rows are passed, and corrected ones: those of a time that was
        there with other data. `on_event` gets FeedGap, FeedStands and FeedMoves, FeedTrouble, RowDropped and
        ValueDropped. Use it with `contextlib.aclosing`, which closes the connection at once.

        Raises:
            FeedError: The status of the first answer says that the request is wrong.
        """
        tell = on_event or (lambda event: None)
        sieve = Sieve(since if since is None or since.tzinfo else since.replace(tzinfo=UTC), self._gap)
        standstill = Standstill(self._stands_after)
        began, clock = datetime.now(UTC), anyio.current_time()
        # httpx limits only each single read, and a server could drip bytes for ever: _poll limits the whole instead.
        async with httpx.AsyncClient(headers=self._headers, transport=self._transport, timeout=None) as client:
            run = _Run(client, sieve, tell, Cleaner(tell).clean)
            async with aclosing(self._documents(run)) as documents:
                async for document in documents:
                    for item in sieve.sift(document, datetime.now(UTC)):
                        if isinstance(item, Row):
                            yield item
                        else:
                            tell(item)
                    # By the monotonic clock: a step of the wall clock is no standstill.
                    event = standstill.see(sieve.newest, began + timedelta(seconds=anyio.current_time() - clock))
                    if event is not None:
                        tell(event)

    async def _documents(self, run: _Run) -> AsyncGenerator[list[Row]]:
        """Yield the documents of the endpoint, without end: before a live one, of the past what is missing."""
        due = anyio.current_time()
        is_first = True
        while True:
            found, failures = await self._ask(run, first=is_first)
            was_out = failures > 0 and anyio.current_time() - due >= self._every
            if self._past is not None and run.sieve.newest is not None and (is_first or was_out):
                began, after = datetime.now(UTC), None
                while after != run.sieve.newest and run.sieve.newest < began:
                    after = run.sieve.newest
                    yield await self._page(run, self._past, after)
                # What was found before may be older than what the past knows by now.
                found, _ = await self._ask(run)
            yield found
            is_first = False
            due = _next_on_grid(due, self._every, anyio.current_time())
            await anyio.sleep_until(due)

    async def _ask(self, run: _Run, *, first: bool = False) -> tuple[list[Row], int]:
        """Poll until it succeeds, and return the rows and the number of failures, which are reported."""
        failures = 0
        while True:
            try:
                return await self._poll(run, self._url, self._parse), failures
            except _Failure as error:
                failure = error
            # A wrong address or a missing key at the start is the author's mistake; later it may be the server's.
            if first and failures == 0 and failure.is_permanent:
                raise FeedError(failure.reason) from failure
            failures += 1
            # The failures are counted for this poll alone: one success, and the next failure is retried soon again.
            retry_in = self._backoff.wait(failures, random.random(), failure.retry_after)
            run.tell(FeedTrouble(failure.reason, failures, retry_in))
            await anyio.sleep(retry_in)

    async def _page(self, run: _Run, past: Callable[[datetime], str], after: datetime) -> list[Row]:
        """Ask for the rows after a time; none, if that fails several times: the present does not wait for the past."""
        for failures in range(1, _TRIES + 1):
            try:
                try:
                    url = _address(str(self._url.join(past(after))))
                except KeyboardInterrupt:
                    raise
                except BaseException as error:  # past is the author's and may raise anything; the feed goes on
                    raise _Failure(f"past failed on {after}: {describe_exception(error)}", is_permanent=True) from error
                return await self._poll(run, url, self._parse_past)
            except _Failure as error:
                failure = error
            if failure.is_permanent:
                break
            if failures < _TRIES:
                retry_in = self._backoff.wait(failures, random.random(), failure.retry_after)
                run.tell(FeedTrouble(failure.reason, failures, retry_in))
                await anyio.sleep(retry_in)
        run.tell(
            FeedTrouble(f"the rows after {after} could not be fetched, and are missing: {failure.reason}", failures, 0)
        )
        return []

    async def _poll(self, run: _Run, url: httpx.URL, parse: Callable[[Any], Iterable[Row] | Row | None]) -> list[Row]:
        body = None
        with anyio.move_on_after(self._timeout):
            body = await self._body(run.client, url)
        if body is None:
            raise _Failure(f"{_shown(url)} gave no full answer within {self._timeout:g} s")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _Failure(f"{_shown(url)} answered with something that is not JSON: {error}") from error
        try:
            found: object = parse(document)
            items = list(found) if isinstance(found, Iterable) else [] if found is None else [found]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # parse is the author's and may raise anything; the feed goes on
            raise _Failure(f"parse failed on what {_shown(url)} sent: {describe_exception(error)}") from error
        return _cleaned(run, items)

    async def _body(self, client: httpx.AsyncClient, url: httpx.URL) -> bytes:
        try:
            async with client.stream("GET", url) as response:
                if not response.is_success:
                    raise _refusal(url, response)
                packed = await self._read(response, url)
            return self._decompress(packed, response.headers.get("content-encoding", "identity").lower(), url)
        except (httpx.HTTPError, OSError, zlib.error) as error:
            raise _Failure(f"{_shown(url)} could not be read: {describe_exception(error)}") from error

    async def _read(self, response: httpx.Response, url: httpx.URL) -> bytes:
        if response.is_stream_consumed:  # as of httpx.MockTransport
            return self._within_limit(response.content, url)
        body = bytearray()
        # Breaking out of the loop would leave httpx's inner generators open; a cancellation closes them.
        with anyio.CancelScope() as reading:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._max_bytes:
                    reading.cancel()
        return self._within_limit(bytes(body), url)

    def _decompress(self, body: bytes, encoding: str, url: httpx.URL) -> bytes:
        """Decompress a body up to the size limit, which httpx's own decompression does not have."""
        if encoding == "identity":
            return body
        if encoding not in ("gzip", "deflate"):
            raise _Failure(f"{_shown(url)} answered in {encoding!r}, but only gzip and deflate are read")
        decompressor = zlib.decompressobj(_GZIP_OR_ZLIB)
        content = self._within_limit(decompressor.decompress(body, self._max_bytes + 1), url)
        if not decompressor.eof:
            raise _Failure(f"{_shown(url)} answered with {encoding} data that ends too soon")
        return content

    def _within_limit(self, body: bytes, url: httpx.URL) -> bytes:
        if len(body) > self._max_bytes:
            raise _Failure(f"{_shown(url)} answered with more than {self._max_bytes} bytes")
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


def _cleaned(run: _Run, items: Sequence[object]) -> list[Row]:
    """Return the rows that can be read. What cannot is told, once while it goes on; it is a failure if nothing can."""
    rows, reasons = [], []
    for item in items:
        try:
            rows.append(run.clean(item))
        except FeedError as error:
            reasons.append(str(error))
    if reasons and not rows:
        raise _Failure(f"parse gave no row that can be read: {reasons[0]}")
    if reasons and not run.drops:
        others = f"; {counted(len(reasons) - 1, 'other')} too" if len(reasons) > 1 else ""
        run.tell(RowDropped(f"{reasons[0]}{others}"))
    run.drops = bool(reasons)
    return rows


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
