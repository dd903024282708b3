"""One round on its way to the nodes: the calls that are not replied to yet, and the replies that have come in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from crunch_game.crunchdao.client._requests import Requests
from crunch_game.hosts.base import Call, Instance, Reply


class PendingRound:
    """The replies of one round.

    Args:
        call: What is asked.
        each: Whether replies are given as they come, not all at the end.

    Attributes:
        pending: The calls that are not replied to yet.
        news: Set when there are replies to collect.
        blocked: The most seconds by which the event loop was late at a deadline.
    """

    def __init__(self, call: Call, *, each: bool) -> None:
        self.call = call
        self.pending: set[PendingCall] = set()
        self.news = asyncio.Event()
        self.blocked = 0.0
        self._each = each
        self._replies: list[tuple[Instance, Reply]] = []

    def take(self, call: PendingCall, reply: Reply) -> None:
        """One of the calls is replied to."""
        self.pending.remove(call)
        self._replies.append((call.instance, reply))
        if self._each or not self.pending:
            self.news.set()

    def collected(self) -> list[tuple[Instance, Reply]]:
        """The replies since the last time; none while others are awaited and nobody wants them one by one."""
        self.news.clear()
        if not self._each and self.pending:
            return []
        replies, self._replies = self._replies, []
        return replies


class PendingCall:
    """One node's part of a round.

    Args:
        round_: The round, which awaits the reply from now on.
        instance: Who is asked.
        requests: What is sent.
        extra: Further keyword arguments for this node's model.

    Attributes:
        method: The method's name.
        timeout: The budget, in seconds.
        refusals: How often the node was found busy.

    Raises:
        ContractError: A further argument cannot be sent.
    """

    def __init__(
        self, round_: PendingRound, instance: Instance, requests: Requests, extra: Mapping[str, Any] | None
    ) -> None:
        self.round = round_
        self.instance = instance
        self.request = requests.to(extra)
        self.method = round_.call.method.name
        self.timeout = round_.call.timeout
        self.refusals = 0
        self._requests = requests
        self._extra = extra
        round_.pending.add(self)

    @property
    def is_pending(self) -> bool:
        """Whether somebody still waits for the reply."""
        return self in self.round.pending

    @property
    def named_request(self) -> bytes | None:
        """The request with every optional parameter by keyword; None if it is so already."""
        return self._requests.to(self._extra, named=True) if self._requests.can_be_named else None
