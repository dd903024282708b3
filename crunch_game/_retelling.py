"""Many calls of one method that returns nothing, made of one fresh model after the other: they are told a history."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from crunch_game._rounds import Enact, MethodCall, Tally, checked
from crunch_game.contract import Contract
from crunch_game.hosts.base import Host, Reply, Telling, TellingHost
from crunch_game.lineup import Player
from crunch_game.policy import ANSWERED, Policy, Trigger


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


async def tell(telling: Telling, player: Player, host: TellingHost, policy: Policy, enact: Enact) -> bool:
    """Make the calls of one player, in their order. Each has its budget, and counts, as any other does.

    Returns whether it has got to the end; it has not if it cannot be called any more.
    """
    first, done = telling.calls[0], 0
    while done < len(telling.calls):
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
