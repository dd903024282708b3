"""A round, or several: every model asked at once, its answer checked, its strikes counted, one outcome for each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import field
from itertools import chain, repeat
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel

from crunch_game._public import record
from crunch_game.contract import Contract, Mismatch
from crunch_game.errors import ContractError
from crunch_game.events import FieldFault
from crunch_game.faults import describe_exception
from crunch_game.hosts.base import Asked, BatchHost, Call, Host, Instance, Reply
from crunch_game.lineup import Observer, Player, Verdict, playing
from crunch_game.models import Model
from crunch_game.outcomes import Fault, Kind, Outcome, Round, Status
from crunch_game.policy import ANSWERED, ASKED, TABLE, Cause, Health, Policy, State, Step, Trigger, is_field_fault

_OK = Status.OK  # looked up once, as policy.ANSWERED


PerModel = Callable[[Model], Mapping[str, Any]]
Players = Mapping[Player, Mapping[str, Any] | None]
"""Who is to be asked, each with further keyword arguments."""
Enact = Callable[[list[Verdict], FieldFault | None], None]


@record
class MethodCall:
    """One call of a batch: what `ModelRunner.call` takes, as a record.

    Attributes:
        method: A method of the contract.
        args: For the method; they stay positional.
        kwargs: For the method, by keyword.
        timeout: Seconds that every model has; the policy's budget unless given.
        per_model: Gives a model's further keyword arguments.
        key: What strikes are counted under; the method's name unless given.
        check: Called with each answer that fits the contract; a ValueError says why the answer is INVALID all the same.
    """

    method: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    per_model: PerModel | None = None
    key: str | None = None
    check: Callable[[Any], object] | None = None


def checked(asked: MethodCall, players: Iterable[Player], contract: Contract, policy: Policy) -> tuple[Call, Players]:
    """The call, and each player's further keyword arguments.

    Raises:
        ContractError: The contract has no such method, or the arguments do not fit it.
    """
    name, per_model, timeout = asked.method, asked.per_model, asked.timeout
    method = contract.method(name)
    args, kwargs = method.bind(asked.args, asked.kwargs, partial=per_model is not None)
    if timeout is not None and not 0 < timeout < float("inf"):
        raise ContractError(f"the timeout of {name} is {timeout!r}; it must be seconds, more than 0 and finite")
    if asked.key is not None and (not isinstance(asked.key, str) or not asked.key):
        raise ContractError(f"the key of {name} is {asked.key!r}; it must be text: strikes are counted under it")
    extras: Players = {
        player: method.extra(asked.args, asked.kwargs, per_model(player.model)) if per_model is not None else None
        for player in players
    }
    return Call(method, args, kwargs, timeout or policy.budget(name), asked.key, asked.check), extras


async def play(
    call: Call,
    players: Players,
    host: Host,
    policy: Policy,
    observers: Iterable[Observer],
    enact: Enact,
    *,
    each: bool,
) -> AsyncGenerator[list[Outcome]]:
    """Ask the players.

    Gives outcomes in batches, one for every player by the deadline; as they come when `each` is true. Strikes are
    counted once the last is in, since only then it shows whether the game itself is at fault; what follows from them
    is for `enact` to do.
    """
    played = _Played(call, players, policy, observers)
    if played.skipped:
        yield played.skipped
    if not played.asked:
        return
    try:
        with playing():
            async with aclosing(host.ask(call, played.asked, each=each)) as batches:
                async for batch in batches:
                    yield played.take(batch)
    except ContractError:
        played.tally.withdraw()
        raise
    finally:
        # Here, since who streams a round may leave it before its end; what has ended counts all the same.
        enact(*played.tally.settle())


async def play_together(
    calls: Sequence[Call],
    players: Sequence[Players],
    host: Host,
    policy: Policy,
    observers: Sequence[Observer],
    enact: Enact,
) -> list[Round]:
    """Ask the same players several calls, through which each works in their order and at its own pace.

    Strikes are counted once everything is in, as for one call: call by call, each with its own `enact`.
    """
    began = time.monotonic()
    played = [_Played(call, own, policy, observers) for call, own in zip(calls, players, strict=True)]
    outcomes: list[dict[str, Outcome]] = [{outcome.model_id: outcome for outcome in each.skipped} for each in played]
    ends = [began] * len(played)

    def take(number: int, batch: Sequence[tuple[Instance, Reply]]) -> None:
        outcomes[number].update((outcome.model_id, outcome) for outcome in played[number].take(batch))
        ends[number] = time.monotonic()

    try:
        if any(each.asked for each in played):
            with playing():
                await _ask_all(host, [(each.call, each.asked) for each in played], take)
    except ContractError:
        for each in played:
            each.tally.withdraw()
        raise
    finally:
        for each in played:
            enact(*each.tally.settle())
    return [
        Round(call.method.name, {player.model.id: mine[player.model.id] for player in own}, end - began)
        for call, own, mine, end in zip(calls, players, outcomes, ends, strict=True)
    ]


async def _ask_all(
    host: Host,
    asks: Sequence[tuple[Call, Asked]],
    take: Callable[[int, Sequence[tuple[Instance, Reply]]], None],
) -> None:
    """Ask them together where the host can; else all at once, in their order."""
    if isinstance(host, BatchHost):
        async with aclosing(host.ask_together(asks)) as batches:
            async for number, batch in batches:
                take(number, batch)
        return
    failed: list[Exception] = []

    async def ask(number: int, call: Call, asked: Asked) -> None:
        try:
            async with aclosing(host.ask(call, asked, each=False)) as batches:
                async for batch in batches:
                    take(number, batch)
        except Exception as error:  # noqa: BLE001 - raised below: a task group would make a group of it
            failed.append(error)
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        for number, (call, asked) in enumerate(asks):
            tasks.start_soon(ask, number, call, asked)
            await anyio.lowlevel.checkpoint()  # it begins before the next one does, on trio too
    if failed:
        raise failed[0]


class _Played:
    """One call while it is played: who is asked, and what comes of it."""

    def __init__(self, call: Call, players: Players, policy: Policy, observers: Iterable[Observer]) -> None:
        self.call = call
        self.tally = Tally(call, policy)
        self.skipped: list[Outcome] = []
        self.asked: dict[Instance, Mapping[str, Any] | None] = {}
        self._followers = [follow for observer in observers if (follow := observer.follow(call, players)) is not None]
        now = time.monotonic()
        for player, extra in players.items():
            outcome = self.tally.begin(player, now)
            if outcome is not None:
                self.skipped.append(outcome)
            elif player.instance is not None:
                self.asked[player.instance] = extra

    def take(self, batch: Sequence[tuple[Instance, Reply]]) -> list[Outcome]:
        """The outcomes of some replies."""
        outcomes = [self.tally.end(instance, reply) for instance, reply in batch]
        for follow in self._followers:
            follow(outcomes)
        return outcomes


class _Asked(NamedTuple):
    player: Player
    deployment_id: str
    before: Health


class _Ended(NamedTuple):
    player: Player
    before: Health
    step: Step
    fault: Fault | None


class Tally:
    """What is known of one round while it goes on, and what follows from it in the end."""

    def __init__(self, call: Call, policy: Policy) -> None:
        self._method, self._budget, self._read = call.method.name, call.timeout, call.method.read
        self._check = call.check
        self._counted_as = call.counted_as
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
                if self._check is not None:
                    self._check(value)
            except Exception as error:  # noqa: BLE001 - the check is the author's
                trigger, value = Trigger.INVALID, None
                fault = Fault("invalid", self._why_invalid(error))
        if player.instance is not instance:
            return self._end_afar(instance, player, deployment_id, Reply(trigger, value, fault, elapsed))
        before = player.health
        step = player.take(trigger, time.monotonic(), fault.message if fault else None)
        status = step.status
        if status is _OK and not before.strikes:
            self._succeeded += 1
        else:
            self._ended.append(_Ended(player, before, step, fault))
        return self._outcome(player, deployment_id, status or Status.SKIPPED, value, fault, elapsed)

    def _why_invalid(self, error: Exception) -> str:
        if isinstance(error, Mismatch):
            return f"the answer does not fit {self._method}'s contract: {error}"
        what = error if isinstance(error, ValueError) else describe_exception(error)
        return f"the answer of {self._method} cannot be scored: {what}"

    def _end_afar(self, instance: Instance, player: Player, deployment_id: str, reply: Reply) -> Outcome:
        """The outcome of an instance that was replaced or ended while it was asked; it counts for nobody."""
        seat, value, fault = player.seat, reply.value, reply.fault
        if seat.instance is instance and reply.trigger in (Trigger.DIED, Trigger.LOST):
            # on_join asked it, and it has taken over since: the seat hears of its end from nobody else.
            self._afar.append(Verdict(seat, reply.trigger, fault))
        status = TABLE[State.LEFT, reply.trigger].status or Status.SKIPPED
        if status is Status.SKIPPED:
            value, fault = None, _why_not(seat)
        own_doing = reply.trigger in (Trigger.DEADLINE, Trigger.DIED)
        return self._outcome(player, deployment_id, status, value, fault, reply.elapsed, own_doing=own_doing)

    def _outcome(
        self,
        player: Player,
        deployment_id: str,
        status: Status,
        value: Any,
        fault: Fault | None,
        elapsed: float,
        *,
        own_doing: bool = False,
    ) -> Outcome:
        excused = status is Status.SKIPPED and player.health.excuses and not own_doing
        return Outcome(
            player.model.id, deployment_id, self._method, status, value, fault, elapsed, self._budget, excused
        )

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
            player.take(Trigger.COUNTED, now, strikes=player.health.counted(self._counted_as, step.strike))
            over = player.health.over(self._counted_as, self._policy)
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
