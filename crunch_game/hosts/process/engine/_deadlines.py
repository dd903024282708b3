"""When the engine must look at a call whose time is nearly over, and when that is over. It reads no clock."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from typing import Final

from crunch_game.hosts.process.engine._exchange import Exchange, Link

_NEARLY_OVER_SECONDS: Final = 0.1
"""How long before a deadline those who are still at their call are looked at."""


class Deadlines:
    """A heap of exchanges and links by when they must be looked at: shortly before a deadline, then at it.

    An exchange stands for all links where its budget began at once, which are nearly always all that it has: so a round
    is one entry. A link stands for itself, where a budget began later; an earlier entry of its will do for later ones.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Exchange | Link]] = []
        self._numbers = itertools.count()  # so that what is due at the same time is not compared

    def begin(self, exchange: Exchange, now: float) -> None:
        """The exchange's budget begins, wherever the model is free."""
        exchange.deadline = now + exchange.timeout
        self._push(_nearly(exchange.deadline, exchange.timeout), exchange)

    def watch(self, link: Link) -> None:
        """See to the budget that runs at the link, unless its exchange's entry does."""
        exchange, deadline = link.turns.running, link.turns.deadline
        if exchange is not None and deadline != exchange.deadline:
            self._look_by(link, _nearly(deadline, exchange.timeout))

    def first(self) -> float | None:
        """When something must be looked at; None if there is nothing."""
        while self._heap and not _matters(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def looked_at(self, now: float) -> Iterator[tuple[list[Link], Exchange, bool]]:
        """Links whose time for an exchange is over by now, or nearly, and which of the two it is.

        Who is told that it is over must have the link's turns expire.
        """
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            if not _matters(*entry):
                continue
            what = entry[2]
            if isinstance(what, Link):
                what.look_by = math.inf
                exchange, deadline = what.turns.running, what.turns.deadline
                if exchange is None or deadline == exchange.deadline:
                    continue
                if deadline <= now:
                    yield [what], exchange, True
                elif _nearly(deadline, exchange.timeout) > now:
                    self.watch(what)
                else:
                    self._look_by(what, deadline)
                    if what.turns.current is exchange:
                        yield [what], exchange, False
            elif what.deadline <= now:
                yield [link for link in what.waiting if _began_at_once(link, what)], what, True
            else:
                self._push(what.deadline, what)
                at_it = (link for link in what.waiting if link.turns.current is what)
                yield [link for link in at_it if _began_at_once(link, what)], what, False

    def _look_by(self, link: Link, when: float) -> None:
        if when < link.look_by:
            link.look_by = when
            self._push(when, link)

    def _push(self, when: float, what: Exchange | Link) -> None:
        heapq.heappush(self._heap, (when, next(self._numbers), what))


def _nearly(deadline: float, timeout: float) -> float:
    """When the time of a call is nearly over."""
    return deadline - min(_NEARLY_OVER_SECONDS, timeout / 5)


def _began_at_once(link: Link, exchange: Exchange) -> bool:
    """Whether the budget that runs at the link is the exchange's, and began with that."""
    return link.turns.running is exchange and link.turns.deadline == exchange.deadline


def _matters(when: float, _: int, what: Exchange | Link) -> bool:
    """Whether an entry is still to be looked at."""
    if isinstance(what, Exchange):
        return bool(what.waiting)
    if when != what.look_by:
        return False  # it has an earlier entry by now
    if what.turns.running is None:
        what.look_by = math.inf
        return False
    return True
