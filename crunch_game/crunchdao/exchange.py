"""One round on its way to the nodes: who is still to answer, who waits for his turn, and what has come in."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from crunch_game.crunchdao.requests import Requests
from crunch_game.hosts.base import Call, Instance, Reply
from crunch_game.outcomes import Fault
from crunch_game.policy import Event

if TYPE_CHECKING:
    from crunch_game.crunchdao.instance import Node

__all__ = ["Exchange", "Order"]


class Exchange:
    """The replies of one round.

    Args:
        call: What is asked.
        each: Whether replies are given as they come, not all at the end.
    """

    def __init__(self, call: Call, *, each: bool) -> None:
        self.call = call
        self.began = time.monotonic()
        self.pending: dict[Node, Order] = {}
        self.news = asyncio.Event()
        self._each = each
        self._replies: deque[tuple[Instance, Reply]] = deque()

    @property
    def elapsed(self) -> float:
        """Seconds since the round began."""
        return time.monotonic() - self.began

    def take(self, node: Node, reply: Reply) -> None:
        """One of the nodes has replied."""
        del self.pending[node]
        self._replies.append((node, reply))
        if self._each or not self.pending:
            self.news.set()

    def collected(self) -> list[tuple[Instance, Reply]]:
        """The replies since the last time; none while others are awaited and nobody wants them one by one."""
        self.news.clear()
        if not self._each and self.pending:
            return []
        replies = list(self._replies)
        self._replies.clear()
        return replies


class Order:
    """One node's part of an exchange.

    Raises:
        ContractError: A further argument cannot be sent.
    """

    def __init__(self, exchange: Exchange, requests: Requests, extra: Mapping[str, Any] | None) -> None:
        self.exchange = exchange
        self.request = requests.to(extra)
        self.method = exchange.call.method.name
        self.attempts = 0
        """How often the node was found busy."""
        self.crowded_out = False
        """Whether it was busy with somebody else's call."""
        self._requests = requests
        self._extra = extra

    @property
    def named_request(self) -> bytes | None:
        """The request with every optional parameter by keyword; None if it is so already."""
        return self._requests.to(self._extra, named=True) if self._requests.can_be_named else None

    def missed(self, busy_with: tuple[str, float] | None, *, asked: bool) -> Reply:
        """The reply at the deadline.

        Args:
            busy_with: What the node does instead, and for how many seconds, if it is the runner's own call.
            asked: Whether the node was asked at all.
        """
        call, elapsed = self.exchange.call, self.exchange.elapsed
        if asked and not self.crowded_out:
            return Reply(Event.DEADLINE, None, Fault("timeout", f"no answer within {call.timeout:g} s"), elapsed)
        if busy_with is not None:
            method, seconds = busy_with
            text = f"not asked within {call.timeout:g} s: it has been busy with {method} for {seconds:.3g} s"
            return Reply(Event.DEADLINE, None, Fault("busy", text), elapsed)
        text = f"not asked within {call.timeout:g} s: its node is busy with somebody else's call"
        return Reply(Event.UNREACHED, None, Fault("busy", text), elapsed)
