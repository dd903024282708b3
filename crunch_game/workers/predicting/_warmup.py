"""What a fresh instance is told before it plays: the rows that it missed, many at once, and beside others."""

from __future__ import annotations

import time
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
import anyio.lowlevel

from crunch_game.encoding import encode
from crunch_game.errors import ContractError
from crunch_game.feeds import History
from crunch_game.feeds.base import Row
from crunch_game.game import Game
from crunch_game.models import Model
from crunch_game.runner import MethodCall, ModelRunner, Retelling
from crunch_game.workers.predicting._hooks import Hooks

_MOST_ROWS: Final = 512
_MOST_BYTES: Final = 1 << 17
"""Of one chunk, about."""
_MOST_CHUNKS: Final = 64
"""That are kept for those who come after: models that warm up together are nearly side by side."""
_AT_ONCE_SECONDS: Final = 0.001
"""How long rows are prepared before the event loop is everybody's again: rounds go on meanwhile."""
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_BLINK: Final = timedelta(microseconds=1)


@dataclass(frozen=True, eq=False)
class _Chunk:
    """Some rows in a row.

    Attributes:
        until: The time of the last one.
        retellings: The calls that tell them, nearly always all together; none where there is nothing to tell.
    """

    until: datetime
    retellings: Sequence[Retelling]


class Warmup:
    """Tells fresh instances what they missed, the current row included, until there is nothing left to tell.

    The rows are prepared once for all models, chunk by chunk, unless the game has arguments for each.

    Args:
        game: The game.
        hooks: The author's functions.
        history: The rows that were told; more may come at any time.
    """

    def __init__(self, game: Game, hooks: Hooks, history: History) -> None:
        self._game = game
        self._hooks = hooks
        self._history = history
        self._chunks: OrderedDict[datetime, _Chunk] = OrderedDict()
        """By the time of their first row; the one that was used last is at the end."""
        self._starts: list[datetime] = []
        """The same times, in their order: a chunk ends where the next one begins, so that both are used again."""
        self._preparing = anyio.Lock()

    async def introduce(self, model: Model, runner: ModelRunner) -> None:
        """Tell a fresh instance the rows that it missed."""
        latest = self._history.latest
        if latest is None or self._game.tick is None:
            return
        warmup = self._game.warmup
        done = _FIRST if warmup is None else latest.time - warmup - _BLINK
        while self._history.after(done, 1):
            chunk = await self._chunk(done, model, runner)
            for each in chunk.retellings:
                if not await runner.tell(each, model.id):
                    return  # it has failed, was stopped, or has left meanwhile
            done = chunk.until

    async def _chunk(self, done: datetime, model: Model, runner: ModelRunner) -> _Chunk:
        """The rows after a time."""
        if self._game.per_model is not None:
            return await self._prepared(self._history.after(done, self._most_rows(done)), model, runner)
        async with self._preparing:  # nobody does the same at the same time
            [first] = self._history.after(done, 1)
            chunk = self._chunks.get(first.time)
            if chunk is None:
                rows = self._history.after(done, self._most_rows(done))
                following = bisect_right(self._starts, first.time)
                if following < len(self._starts):
                    rows = [row for row in rows if row.time < self._starts[following]]
                chunk = self._chunks[first.time] = await self._prepared(rows, model, runner)
                insort(self._starts, first.time)
                if len(self._chunks) > _MOST_CHUNKS:
                    self._starts.remove(self._chunks.popitem(last=False)[0])
            self._chunks.move_to_end(first.time)
            return chunk

    def _most_rows(self, done: datetime) -> int:
        """How many rows a chunk may have: they are taken to be of the size of the first."""
        [first] = self._history.after(done, 1)
        arguments = self._hooks.tick_arguments(first)
        try:
            size = len(encode(arguments))
        except ValueError:
            return _MOST_ROWS
        return max(1, min(_MOST_ROWS, _MOST_BYTES // size))

    async def _prepared(self, rows: Sequence[Row], model: Model, runner: ModelRunner) -> _Chunk:
        """These rows as calls, and those left out that nobody can be told."""
        calls: list[MethodCall] = []
        began = time.monotonic()
        for row in rows:
            if time.monotonic() - began > _AT_ONCE_SECONDS:
                await anyio.lowlevel.checkpoint()
                began = time.monotonic()
            call = self._call(row, model)
            if call is not None:
                calls.append(call)
        return _Chunk(rows[-1].time, _retellings(calls, runner))

    def _call(self, row: Row, model: Model) -> MethodCall | None:
        arguments = self._hooks.tick_arguments(row)
        if arguments is None:
            return None
        method = self._game.tick_method
        extras = self._hooks.extras(method, [model], row.time, arguments)
        if extras is None:
            return MethodCall(method, arguments)
        return None if extras.failed else MethodCall(method, arguments, extras.given[model.id])


def _retellings(calls: Sequence[MethodCall], runner: ModelRunner) -> Sequence[Retelling]:
    """The calls, together if they can be sent so; but for those that cannot: who was there was not told either."""
    if not calls:
        return ()
    with suppress(ContractError):
        return (runner.retelling(calls),)
    found: list[Retelling] = []
    for call in calls:
        with suppress(ContractError):
            found.append(runner.retelling([call]))
    return found
