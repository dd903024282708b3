"""Many calls of one method that returns nothing, made of one fresh model after the other: they are told a history."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import anyio

from crunch_game._rounds import Enact, MethodCall, Tally, checked
from crunch_game.contract import Contract
from crunch_game.hosts.base import Host, Reply, Telling, TellingHost
from crunch_game.lineup import Player, until_quiet
from crunch_game.policy import ANSWERED, Policy, Trigger

_LONG_SECONDS: Final = 0.1
"""After which one that is told keeps nobody waiting."""
_ROUND_SECONDS: Final = 0.25
"""How long the end of a round is waited for: it may be that of one hanging model."""
_MANY: Final = 512
"""Calls that wait so long. Fewer wait for less: where one round follows the other, the last ones do not wait at all,
or rows would come while they do, and nobody would ever have been told all."""


@dataclass(frozen=True, eq=False)
class Retelling:
    """Calls that several models are told.

    Attributes:
        calls: The calls.
        telling: The same as the models' host has written them down, once; None where it makes one after the other.
    """

    calls: Sequence[MethodCall]
    telling: Telling | None


def retelling(calls: Sequence[MethodCall], contract: Contract, policy: Policy, host: Host) -> Retelling:
    """Check the calls, and have the host write them down.

    Raises:
        ContractError: The contract has no such method, or the arguments of one do not fit it, or cannot be sent.
    """
    prepared = [checked(each, (), contract, policy)[0] for each in calls]
    # What a capsule is made of is each call and what came of it.
    method = prepared[0].method
    together = (method.silent or method.returns is Any) and policy.capsules is None
    return Retelling(calls, host.telling(prepared) if together and isinstance(host, TellingHost) else None)


class Pace:
    """Lets as few be told at once as there are processors, in the order that they came, and between rounds.

    Who takes long does not keep the others: it may hang.
    """

    def __init__(self) -> None:
        self._most = os.cpu_count() or 1
        self._door = anyio.Lock()
        self._since: dict[object, float] = {}
        self._over = anyio.Event()

    @asynccontextmanager
    async def turn(self, calls: int) -> AsyncIterator[None]:
        """Wait for a turn of so many calls, and have it."""
        async with self._door:
            await until_quiet(_ROUND_SECONDS * min(1.0, calls / _MANY))
            while (seconds := self._wait()) > 0.0:
                self._over = anyio.Event()
                with anyio.move_on_after(seconds):
                    await self._over.wait()
            mine = object()
            self._since[mine] = time.monotonic()
        try:
            yield
        finally:
            del self._since[mine]
            self._over.set()

    def _wait(self) -> float:
        """Seconds until another one may begin, though nobody ends."""
        now = time.monotonic()
        ends = sorted(end for since in self._since.values() if (end := since + _LONG_SECONDS) > now)
        return 0.0 if len(ends) < self._most else ends[-self._most] - now


async def tell(telling: Telling, player: Player, host: TellingHost, policy: Policy, enact: Enact, pace: Pace) -> bool:
    """Make the calls of one player, in their order. Each has its budget, and counts, as any other does.

    Returns whether it has got to the end; it has not if it cannot be called any more.
    """
    first, done = telling.calls[0], 0
    while done < len(telling.calls):
        async with pace.turn(len(telling.calls) - done):
            tally, instance = Tally(first, policy), player.instance
            if tally.begin(player, time.monotonic()) is not None or instance is None:
                return False
            told = await host.tell(telling, instance)
        before, done = done, max(done, told.done or 0)
        last = told.reply
        if last is None or done > before + 1:  # those before the last one went well
            tally.end(instance, Reply(ANSWERED, None, None, 0.0))
            enact(*tally.settle())
            if last is None:
                continue
            tally = Tally(first, policy)
            if tally.begin(player, time.monotonic()) is not None:
                return False
        tally.end(instance, last)
        if last.trigger is Trigger.DEADLINE and told.is_free:
            player.take(Trigger.LATE, time.monotonic())
        enact(*tally.settle())
        if last.trigger is Trigger.UNSUPPORTED:
            return True  # nor would it take the rest
    return True
