"""One round: every model asked at once, its answer checked, its strikes counted, one outcome for each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from itertools import chain, repeat
from typing import Any, NamedTuple

from crunch_game.contract import Mismatch
from crunch_game.errors import ContractError
from crunch_game.events import FieldFault
from crunch_game.hosts.base import Call, Host, Instance, Reply
from crunch_game.lineup import Observer, Player, Verdict
from crunch_game.outcomes import Fault, Kind, Outcome, Status
from crunch_game.policy import ANSWERED, ASKED, TABLE, Cause, Health, Policy, State, Step, Trigger, is_field_fault

_OK = Status.OK  # looked up once, as policy.ANSWERED


async def play(
    call: Call,
    players: Mapping[Player, Mapping[str, Any] | None],
    host: Host,
    policy: Policy,
    observers: Iterable[Observer],
    enact: Callable[[list[Verdict], FieldFault | None], None],
    *,
    each: bool,
) -> AsyncGenerator[list[Outcome]]:
    """Ask the players; the values of `players` are further keyword arguments for one.

    Gives outcomes in batches, one for every player by the deadline; as they come when `each` is true. Strikes are
    counted once the last is in, since only then it shows whether the game itself is at fault; what follows from them
    is for `enact` to do.
    """
    followers = [follow for observer in observers if (follow := observer.follow(call, players)) is not None]
    tally = _Tally(call, policy)
    skipped, asked = [], {}
    now = time.monotonic()
    for player, extra in players.items():
        outcome = tally.begin(player, now)
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
                outcomes = [tally.end(instance, reply) for instance, reply in batch]
                for follow in followers:
                    follow(outcomes)
                yield outcomes
    except ContractError:
        tally.withdraw()
        raise
    finally:
        # Here, since who streams a round may leave it before its end; what has ended counts all the same.
        enact(*tally.settle())


class _Asked(NamedTuple):
    player: Player
    deployment_id: str
    before: Health


class _Ended(NamedTuple):
    player: Player
    before: Health
    step: Step
    fault: Fault | None


class _Tally:
    """What is known of one round while it goes on, and what follows from it in the end."""

    def __init__(self, call: Call, policy: Policy) -> None:
        self._method, self._budget, self._read = call.method.name, call.timeout, call.method.read
        self._policy = policy
        self._asked: dict[Instance, _Asked] = {}
        self._ended: list[_Ended] = []
        self._succeeded = 0
        """Successes that change nothing; they are not among those that ended."""
        self._afar: list[Verdict] = []
        """What happened to seats by an instance that was asked before it was theirs."""

    def begin(self, player: Player, now: float) -> Outcome | None:
        """Mark the player as asked; the outcome at once when it cannot be."""
        before, instance = player.health, player.instance
        step = player.take(ASKED, now)
        if step.status is not None:
            return self._outcome(player, player.deployment_id, step.status, None, _why_not(player), 0.0)
        assert instance is not None
        self._asked[instance] = _Asked(player, player.deployment_id, before)
        return None

    def withdraw(self) -> None:
        """Nobody was asked after all. Who was busy before is so still."""
        now = time.monotonic()
        for instance, (player, _, before) in self._asked.items():
            if player.instance is instance and before.state is not State.BUSY:
                player.take(Trigger.WITHDRAWN, now)

    def end(self, instance: Instance, reply: Reply) -> Outcome:
        """The outcome of one player's reply."""
        player, deployment_id, _ = self._asked.pop(instance)
        trigger, value, fault, elapsed = reply.trigger, reply.value, reply.fault, reply.elapsed
        if trigger is ANSWERED:
            try:
                value = self._read(value)
            except Mismatch as error:
                trigger, value = Trigger.INVALID, None
                fault = Fault("invalid", f"the answer does not fit {self._method}'s contract: {error}")
        if player.instance is not instance:
            return self._end_afar(instance, player, deployment_id, Reply(trigger, value, fault, elapsed))
        before = player.health
        step = player.take(trigger, time.monotonic(), fault.message if fault else None)
        status = step.status
        if status is _OK and not before.strikes:
            self._succeeded += 1
        else:
            self._ended.append(_Ended(player, before, step, fault))
        return Outcome(
            player.model.id, deployment_id, self._method, status or Status.SKIPPED, value, fault, elapsed, self._budget
        )

    def _end_afar(self, instance: Instance, player: Player, deployment_id: str, reply: Reply) -> Outcome:
        """The outcome of an instance that was replaced or ended while it was asked; it counts for nobody."""
        seat, value, fault = player.seat, reply.value, reply.fault
        if seat.instance is instance and reply.trigger in (Trigger.DIED, Trigger.LOST):
            # on_join asked it, and it has taken over since: the seat hears of its end from nobody else.
            self._afar.append(Verdict(seat, reply.trigger, fault))
        status = TABLE[State.LEFT, reply.trigger].status or Status.SKIPPED
        if status is Status.SKIPPED:
            value, fault = None, _why_not(seat)
        return self._outcome(player, deployment_id, status, value, fault, reply.elapsed)

    def _outcome(
        self, player: Player, deployment_id: str, status: Status, value: Any, fault: Fault | None, elapsed: float
    ) -> Outcome:
        return Outcome(player.model.id, deployment_id, self._method, status, value, fault, elapsed, self._budget)

    def settle(self) -> tuple[list[Verdict], FieldFault | None]:
        """Count the strikes, unless the game is at fault; what the new states ask for, and that fault."""
        verdicts = self._afar
        if not self._ended:
            return verdicts, None
        at_fault = is_field_fault(self._kinds(), self._policy)
        now = time.monotonic()
        for ended in self._ended:
            # A player whose strikes were wiped off meanwhile has a new life: what ended was of the old one.
            if ended.player.health.strike_epoch == ended.before.strike_epoch:
                verdict = self._verdict(ended, now, count=not at_fault)
                if verdict is not None:
                    verdicts.append(verdict)
        return verdicts, self._field_fault() if at_fault else None

    def _verdict(self, ended: _Ended, now: float, *, count: bool) -> Verdict | None:
        """Count one strike, or success; what is to be done about the player."""
        player, before, step, fault = ended
        late = step.status is Status.TIMEOUT
        if count and step.strike != "none":
            player.take(Trigger.COUNTED, now, strikes=player.health.counted(self._method, step.strike))
            over = player.health.over(self._method, self._policy)
            if over is not None:
                reason = f"{over}; the last: {fault.message}" if fault else over
                return Verdict(player, Trigger.STOP, fault, reason, Cause.TIMEOUTS if late else Cause.FAILURES)
        if late and self._policy.on_timeout == "restart":
            return Verdict(player, Trigger.RESTART, fault)
        moved = step.state not in (before.state, State.READY, State.BUSY)
        # Since then the author may have stopped the player, or its roster may have redeployed it.
        return Verdict(player, None, fault) if moved and player.health.state is step.state else None

    def _kinds(self) -> Iterator[Kind]:
        """What every call of the round counts as."""
        return chain(repeat("success", self._succeeded), (ended.step.strike for ended in self._ended))

    def _field_fault(self) -> FieldFault:
        """The fault of the game, told by the most frequent one among the models."""
        failed = [ended.fault for ended in self._ended if ended.step.strike in ("failure", "timeout") and ended.fault]
        asked = sum(kind != "none" for kind in self._kinds())
        [(message, _)] = Counter(fault.message for fault in failed).most_common(1)
        typical = next(fault for fault in failed if fault.message == message)
        return FieldFault(self._method, len(failed), asked, typical)


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
