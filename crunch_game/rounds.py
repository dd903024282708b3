"""One round: every model asked at once, its answer checked, its strikes counted, one outcome for each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from itertools import chain, repeat
from typing import Any, NamedTuple

from msgspec.structs import replace

from crunch_game import events
from crunch_game.checking import Mismatch
from crunch_game.errors import ContractError
from crunch_game.hosts.base import Call, Host, Instance, Reply
from crunch_game.lineup import Lineup
from crunch_game.outcomes import Fault, Kind, Outcome, Status
from crunch_game.policy import ANSWERED, Cause, Event, Health, Policy, State, Step, is_field_fault
from crunch_game.seats import Player

__all__ = ["play"]

_GONE = frozenset({Event.DIED, Event.DROPPED, Event.LOST, Event.DEADLINE})
# As policy.ANSWERED: every call asks for them.
_UNREACHED, _OK = Event.UNREACHED, Status.OK


async def play(
    call: Call,
    players: Mapping[Player, Mapping[str, Any] | None],
    host: Host,
    lineup: Lineup,
    policy: Policy,
    emit: Callable[[events.RunnerEvent], None],
    *,
    each: bool,
) -> AsyncGenerator[list[Outcome]]:
    """Ask the players; the values of `players` are further keyword arguments for one.

    Gives outcomes in batches, one for every player by the deadline; as they come when `each` is true. Strikes are
    counted once the last is in, since only then it shows whether the game itself is at fault.
    """
    round_ = _Round(call, lineup, policy, emit)
    skipped, asked = [], {}
    now = time.monotonic()
    for player, extra in players.items():
        outcome = round_.begin(player, now)
        if outcome is not None:
            skipped.append(outcome)
        elif player.instance is not None:
            asked[player.instance] = extra
    if skipped:
        yield skipped
    if not asked:
        return
    try:
        async with aclosing(host.ask(call, asked, each=each)) as batches:
            async for batch in batches:
                yield [round_.end(instance, reply) for instance, reply in batch]
    except ContractError:
        round_.withdraw()
        raise
    finally:
        round_.settle()


class _Asked(NamedTuple):
    player: Player
    deployment_id: str
    slate: int
    before: Health


class _Ended(NamedTuple):
    player: Player
    slate: int
    before: State
    step: Step
    fault: Fault | None


class _Round:
    """What is known of one round while it goes on."""

    def __init__(self, call: Call, lineup: Lineup, policy: Policy, emit: Callable[[events.RunnerEvent], None]) -> None:
        self._method, self._budget, self._read = call.method.name, call.timeout, call.method.read
        self._lineup = lineup
        self._policy = policy
        self._emit = emit
        self._asked: dict[Instance, _Asked] = {}
        self._ended: list[_Ended] = []
        self._succeeded = 0
        """Successes that change nothing; they are not among those that ended."""

    def begin(self, player: Player, now: float) -> Outcome | None:
        """Mark the player as asked; the outcome at once when it cannot be."""
        before, instance = player.health, player.instance
        health, step = before.after(Event.ASKED, now)
        if step.status is not None:
            return self._outcome(player, player.deployment_id, step.status, None, _why_not(player), 0.0)
        assert instance is not None
        self._asked[instance] = _Asked(player, player.deployment_id, player.slate, before)
        player.health = health
        return None

    def withdraw(self) -> None:
        """Nobody was asked after all."""
        for player, _, slate, before in self._asked.values():
            if player.slate == slate and player.health.state is State.BUSY:
                player.health = replace(player.health, state=before.state, since=before.since)

    def end(self, instance: Instance, reply: Reply) -> Outcome:
        """The outcome of one player's reply."""
        player, deployment_id, slate, _ = self._asked.pop(instance)
        event, value, fault, elapsed = reply.event, reply.value, reply.fault, reply.elapsed
        if event is ANSWERED:
            try:
                value = self._read(value)
            except Mismatch as error:
                event, value = Event.INVALID, None
                fault = Fault("invalid", f"the answer does not fit {self._method}'s contract: {error}")
        if player.instance is not instance:
            if event in (Event.DIED, Event.LOST):
                self._lineup.happened(instance, event, fault)
            return self._from_afar(player, deployment_id, event, value, fault, elapsed)
        if event is _UNREACHED:
            self._lineup.unreached(player)
        health = player.health
        player.health, step = health.after(event, time.monotonic(), fault.message if fault else None)
        status = step.status
        if status is _OK and not health.strikes:
            self._succeeded += 1
        else:
            self._ended.append(_Ended(player, slate, health.state, step, fault))
        return Outcome(
            player.model.id, deployment_id, self._method, status or Status.SKIPPED, value, fault, elapsed, self._budget
        )

    def _from_afar(
        self, player: Player, deployment_id: str, event: Event, value: Any, fault: Fault | None, elapsed: float
    ) -> Outcome:
        """The outcome of an instance that was replaced or ended while it was asked; it counts for nobody."""
        if event in _GONE:
            return self._outcome(player, deployment_id, Status.SKIPPED, None, _why_not(player), elapsed)
        return self._outcome(player, deployment_id, _STATUS.get(event, Status.OK), value, fault, elapsed)

    def _outcome(
        self, player: Player, deployment_id: str, status: Status, value: Any, fault: Fault | None, elapsed: float
    ) -> Outcome:
        return Outcome(player.model.id, deployment_id, self._method, status, value, fault, elapsed, self._budget)

    def settle(self) -> None:
        """Count the strikes, unless the game is at fault; then do what the new states ask for."""
        if not self._ended:
            return
        method = self._method
        at_fault = is_field_fault(self._kinds(), self._policy)
        if at_fault:
            self._tell_field_fault()
        for player, slate, before, step, fault in self._ended:
            if player.slate != slate:
                continue
            late = step.status is Status.TIMEOUT
            if not at_fault and step.strike != "none":
                player.health = player.health.counted(method, step.strike)
                over = player.health.over(method, self._policy)
                if over is not None:
                    reason = f"{over}; the last: {fault.message}" if fault else over
                    cause = Cause.TIMEOUTS if late else Cause.FAILURES
                    self._lineup.apply(player, Event.STOP, fault, reason, cause)
                    continue
            if late and self._policy.on_timeout == "restart":
                self._lineup.apply(player, Event.RESTART, fault)
            elif step.state not in (before, State.READY, State.BUSY) and player.health.state is step.state:
                self._lineup.enact(player, fault)
        self._ended.clear()

    def _kinds(self) -> Iterator[Kind]:
        """What every call of the round counts as."""
        return chain(repeat("success", self._succeeded), (ended.step.strike for ended in self._ended))

    def _tell_field_fault(self) -> None:
        failed = [ended.fault for ended in self._ended if ended.step.strike in ("failure", "timeout") and ended.fault]
        asked = sum(kind != "none" for kind in self._kinds())
        [(message, _)] = Counter(fault.message for fault in failed).most_common(1)
        typical = next(fault for fault in failed if fault.message == message)
        self._emit(events.FieldFault(self._method, len(failed), asked, typical))


_STATUS: Mapping[Event, Status] = {
    ANSWERED: Status.OK,
    Event.INVALID: Status.INVALID,
    Event.RAISED: Status.RAISED,
    Event.UNSUPPORTED: Status.UNSUPPORTED,
    Event.UNREACHED: Status.UNREACHABLE,
}


def _why_not(player: Player) -> Fault:
    """Why a player is not called, as a sentence."""
    health = player.health
    seconds = time.monotonic() - health.since
    sentences = {
        State.JOINING: f"it has been loading for {seconds:.3g} s",
        State.RESTARTING: f"it is being restarted: {health.reason}",
        State.FAILED: f"it could not be loaded: {health.reason}",
        State.STOPPED: f"it was stopped: {health.reason}",
        State.UNREACHABLE: f"its connection has been lost for {seconds:.3g} s: {health.reason}",
        State.LEFT: "it left the game",
    }
    return Fault(str(health.state), sentences.get(health.state, "it was replaced by a fresh instance"))
