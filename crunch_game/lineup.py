"""Who plays: follows the roster, loads what joins, restarts what died, and ends what is stopped or leaves."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus
from msgspec.structs import replace

from crunch_game import events
from crunch_game.errors import UnknownModel
from crunch_game.faults import fault_of, said
from crunch_game.hosts.base import Host, Instance, Loaded, LoadFailure, Setup
from crunch_game.models import Model, Submission
from crunch_game.outcomes import Fault, Kind
from crunch_game.policy import Cause, Event, Health, Policy, State, Step, restart_delay
from crunch_game.reporting import Reporting
from crunch_game.rosters.base import RemoteRoster, Roster
from crunch_game.seats import Fresh, Player, Seat, onboarding

__all__ = ["Lineup"]


_REACHED: Mapping[State, Kind] = {State.READY: "success", State.BUSY: "success", State.UNREACHABLE: "failure"}


class Lineup:
    """The models of one runner. All of it happens on the event loop.

    Args:
        roster: Says who is in the game.
        host: Where models run.
        setup: How they are made.
        policy: What happens to them.
        hooks: Awaited with every fresh model before it plays.
        emit: Told of everything that happens.
        tasks: Where loads and ends run in the background.
    """

    def __init__(
        self,
        roster: Roster,
        host: Host,
        setup: Setup,
        policy: Policy,
        hooks: Iterable[Callable[[Model], Awaitable[Any]]],
        emit: Callable[[events.RunnerEvent], None],
        tasks: TaskGroup,
    ) -> None:
        self._roster = roster
        self._host = host
        self._setup = setup
        self._policy = policy
        self._hooks = hooks
        self._emit = emit
        self._tasks = tasks
        self._reporting = Reporting(roster, policy, emit)
        self._players: dict[Instance, Seat | Fresh] = {}
        self._gone: set[str] = set()
        self._settled = anyio.Event()
        self._news: deque[Callable[[], None]] = deque()
        self._bell = anyio.Event()
        self._unsettled: set[str] = set()
        self._cut_off = -math.inf
        """When most of the field was last found unreachable."""
        self.seats: dict[str, Seat] = {}
        self.closed = False

    # The roster.

    async def follow(self, *, task_status: TaskStatus[None]) -> None:
        """Open the host with the roster's first models, then follow its changes for good."""
        self._tasks.start_soon(self._listen)
        if isinstance(self._roster, RemoteRoster):
            self._roster.listen(lambda event: self._hear(partial(self._emit, event)))
        async with aclosing(self._roster.follow()) as snapshots:
            opened = False
            async for snapshot in snapshots:
                if not opened:
                    await self._host.open(self._setup, list(snapshot.values()), self)
                    self._unsettled = set(snapshot)
                self._adopt(snapshot)
                if not opened:
                    opened = True
                    self._check_settled()
                    task_status.started()

    def close(self) -> None:
        """Start and end nothing any more: the host ends everything."""
        self.closed = True

    async def settled(self) -> None:
        """Wait until every model of the roster's first word is ready or has failed."""
        await self._settled.wait()

    def _adopt(self, snapshot: Mapping[str, Submission]) -> None:
        for model_id in [model_id for model_id in self.seats if model_id not in snapshot]:
            self._leave(self.seats[model_id])
        for model_id, submission in snapshot.items():
            seat = self.seats.get(model_id)
            if seat is None:
                self._join(submission)
                continue
            seat.model.info, seat.model.name = submission.info, submission.name or submission.id
            before, seat.submission = seat.submission, submission
            if before.deployment_id != submission.deployment_id:
                self._redeploy(seat)
            elif submission.away and not before.away:
                self._interrupt(seat)
            elif before.away or before.source != submission.source:
                self._move(seat)

    def _join(self, submission: Submission) -> None:
        seat = self.seats[submission.id] = Seat(submission, time.monotonic())
        self._gone.discard(submission.id)
        self._reporting.joined(submission.id)
        self._emit(events.ModelJoined(submission.id, submission.deployment_id))
        self._bring_up(seat)

    def _redeploy(self, seat: Seat) -> None:
        if seat.health.state in (State.FAILED, State.STOPPED):
            self._wipe(seat)
        self._bring_up(seat)

    def _interrupt(self, seat: Seat) -> None:
        """The roster says that the model is away for now: nothing of it is left, and nothing is held against it."""
        self._forgo(seat)
        instance, seat.instance = seat.instance, None
        self._end(instance)
        self.apply(seat, Event.LOST, Fault("away", "its node is being recovered"))

    def _move(self, seat: Seat) -> None:
        """The same code is back, or runs elsewhere; its strikes stay."""
        state = seat.health.state
        if state is State.STOPPED or seat.submission.away:
            return
        if state is State.UNREACHABLE:
            self.apply(seat, Event.RESTART, Fault("moved", "its node is back"))
            return
        if state is State.FAILED:
            self._wipe(seat)
        self._bring_up(seat)

    def _wipe(self, seat: Seat) -> None:
        seat.health, _ = seat.health.after(Event.READMIT, time.monotonic())
        seat.slate += 1

    def _leave(self, seat: Seat) -> None:
        del self.seats[seat.model.id]
        self._gone.add(seat.model.id)
        self._reporting.left(seat.model.id)
        self.apply(seat, Event.LEAVE, None)

    def seat(self, model_id: str) -> Seat | None:
        """The seat of a model; None when the model left.

        Raises:
            UnknownModel: It was never in the game.
        """
        seat = self.seats.get(model_id)
        if seat is None and model_id not in self._gone:
            known = ", ".join(sorted(self.seats)) or "no model at all"
            raise UnknownModel(f"there is no model {model_id!r} in the game; there is {known}")
        return seat

    # Loading.

    def _bring_up(self, seat: Seat, delay: float = 0.0) -> None:
        if seat.loading is not None:
            seat.loading.cancel()
        seat.loading = scope = anyio.CancelScope()
        self._tasks.start_soon(self._load, seat, seat.submission, scope, delay)

    def _forgo(self, seat: Seat) -> None:
        """Load it no further."""
        if seat.loading is not None:
            seat.loading.cancel()
            seat.loading = None
            self._reporting.spared(seat.model.id)

    async def _load(self, seat: Seat, submission: Submission, scope: anyio.CancelScope, delay: float) -> None:
        with scope:
            await anyio.sleep(delay)
            try:
                loaded = await self._host.start(submission, self._policy.setup_timeout)
            except LoadFailure as error:
                if not scope.cancel_called:
                    self._reporting.not_loaded(submission, error.fault)
                    self._not_loaded(seat, submission, scope, error.fault)
                return
            await self._introduce(seat, submission, scope, loaded)

    async def _introduce(self, seat: Seat, submission: Submission, scope: anyio.CancelScope, loaded: Loaded) -> None:
        instance = loaded.instance
        now = time.monotonic()
        same = seat.model.deployment_id == submission.deployment_id
        fresh = Fresh(
            seat, submission, instance, replace(seat.health if same else Health(), state=State.READY, since=now)
        )
        self._players[instance] = fresh
        try:
            fault = await self._warm_up(fresh) if loaded.fresh else None
            if scope.cancel_called:
                return  # nothing since then was awaited, so that nothing noticed
            if fresh.lost:
                seat.losses += 1
                self._bring_up(seat, restart_delay(seat.losses))
            elif fault is None:
                self._take_over(seat, fresh, scope, loaded.warnings)
            else:
                if fresh.health.state in (State.READY, State.BUSY):  # the fault is the hook's own
                    self._reporting.spared(seat.model.id)
                else:
                    self._reporting.not_loaded(submission, fault)
                self._not_loaded(seat, submission, scope, fault)
        finally:
            if seat.instance is not instance:
                self._players.pop(instance, None)
                with anyio.CancelScope(shield=True):
                    await self._host.stop(instance)

    async def _warm_up(self, fresh: Fresh) -> Fault | None:
        """Run the author's `on_join`; why the model cannot play after it, or None."""
        token = onboarding.set(fresh)
        try:
            for hook in self._hooks:
                await hook(fresh.model)
        except Exception as error:  # noqa: BLE001 - the author's hook may raise anything; the model is told of it
            return fault_of(error, f"the game's on_join raised {said(error)}")
        finally:
            onboarding.reset(token)
        if fresh.health.state in (State.READY, State.BUSY):
            return None
        return fresh.fault or Fault("stopped", f"it did not survive on_join: {fresh.health.reason}")

    def _take_over(self, seat: Seat, fresh: Fresh, scope: anyio.CancelScope, warnings: tuple[str, ...]) -> None:
        """Let the fresh instance play, in place of whoever played until now."""
        assert fresh.instance is not None
        now = time.monotonic()
        self._players[fresh.instance] = seat
        previous, seat.instance, fresh.instance = seat.instance, fresh.instance, None
        old_deployment, seat.model.deployment_id = seat.model.deployment_id, fresh.deployment_id
        seat.losses = 0
        seat.health = replace(fresh.health, since=now, reason=None, loaded=now)
        self._reporting.loaded(seat.submission)
        self._loaded(seat, scope)
        if old_deployment != fresh.deployment_id:
            seat.slate += 1
            self._emit(events.ModelRedeployed(seat.model.id, fresh.deployment_id, old_deployment))
        self._emit(events.ModelReady(seat.model.id, fresh.deployment_id, warnings))
        if previous is not None:
            self._players.pop(previous, None)
            self._tasks.start_soon(self._let_finish, previous)

    async def _let_finish(self, instance: Instance) -> None:
        """End an instance that was replaced, once the call that it may be busy with has had its budget."""
        await anyio.sleep(max([self._policy.timeout, *self._policy.timeouts.values()]))
        await self._host.stop(instance)

    def _not_loaded(self, seat: Seat, submission: Submission, scope: anyio.CancelScope, fault: Fault) -> None:
        self._loaded(seat, scope)
        if seat.instance is None:
            seat.fault = fault
            seat.model.deployment_id = submission.deployment_id
            seat.health, _ = seat.health.after(Event.LOAD_FAILED, time.monotonic(), fault.message)
        self._emit(events.ModelLoadFailed(seat.model.id, submission.deployment_id, fault))

    def _loaded(self, seat: Seat, scope: anyio.CancelScope) -> None:
        if seat.loading is scope:
            seat.loading = None
        self._unsettled.discard(seat.model.id)
        self._check_settled()

    def _check_settled(self) -> None:
        if not self._unsettled:
            self._settled.set()

    # What happens to instances.

    def happened(self, instance: Instance, event: Event, fault: Fault | None) -> None:
        """Hear from the host what happens outside a call."""
        self._hear(partial(self._happened, instance, event, fault))

    def loop_blocked(self, seconds: float) -> None:
        """Hear from the host that the author's code held the event loop."""
        self._hear(partial(self._emit, events.LoopBlocked(seconds)))

    def _hear(self, news: Callable[[], None]) -> None:
        self._news.append(news)
        self._bell.set()

    async def _listen(self) -> None:
        """React to news in a task: the host may tell them outside of any, where asyncio can start none."""
        while True:
            await self._bell.wait()
            self._bell = anyio.Event()
            while self._news:
                self._news.popleft()()

    def _happened(self, instance: Instance, event: Event, fault: Fault | None) -> None:
        player = self._players.get(instance)
        if player is not None:
            self.apply(player, event, fault)
            if isinstance(player, Fresh) and event in (Event.LOST, Event.FORGOTTEN):
                player.lost = True

    def unreached(self, player: Player) -> None:
        """A call got lost: the history that `on_join` tells has a hole by now."""
        if isinstance(player, Fresh):
            player.lost = True

    def apply(
        self,
        player: Player,
        event: Event,
        fault: Fault | None,
        reason: str | None = None,
        cause: Cause | None = None,
    ) -> Step:
        """Take one event to the policy's table, and do what the new state asks for.

        Only of a stop that has a cause is a roster told that others keep.
        """
        before = player.health.state
        player.health, step = player.health.after(event, time.monotonic(), reason or (fault.message if fault else None))
        if step.state is not before:
            self.enact(player, fault, cause)
        return step

    def enact(self, player: Player, fault: Fault | None, cause: Cause | None = None) -> None:
        """Do what the player's new state asks for: end it, or start it again."""
        if isinstance(player, Fresh):
            player.fault = fault or player.fault
            return
        assert isinstance(player, Seat)
        state = player.health.state
        if self.closed:
            return
        if state is State.RESTARTING:
            self._restart(player, fault or Fault("died", "it ended"))
        elif state is State.UNREACHABLE:
            self._tasks.start_soon(self._give_up, player, player.health)
        elif state is State.STOPPED:
            player.fault = fault
            self._retire(player, fault)
            reason = player.health.reason or "stopped"
            self._emit(events.ModelStopped(player.model.id, player.deployment_id, reason, fault))
            if cause is not None and player.submission.deployment_id == player.deployment_id:
                self._reporting.stopped(player.submission, cause, reason, fault)
        elif state is State.LEFT:
            self._retire(player, None)
            self._emit(events.ModelLeft(player.model.id, player.deployment_id))

    def _restart(self, seat: Seat, fault: Fault) -> None:
        seat.fault = fault
        instance, seat.instance = seat.instance, None
        self._end(instance)
        if seat.loading is not None:
            return  # new code is on its way
        delay = restart_delay(seat.health.deaths)
        self._emit(events.ModelRestarted(seat.model.id, seat.deployment_id, fault, delay))
        self._bring_up(seat, delay)

    async def _give_up(self, seat: Seat, lost: Health) -> None:
        """Stop a model whose connection stays lost, unless that is not the model's alone, or others see to it."""
        timeout = self._policy.unreachable_timeout
        while True:
            await anyio.sleep(timeout)
            if (seat.health.state, seat.health.since) != (State.UNREACHABLE, lost.since):
                return
            fault = Fault("unreachable", f"its connection was lost for {timeout:g} s: {lost.reason}")
            if seat.submission.away or seat.loading is not None:
                continue
            kinds = [_REACHED.get(other.health.state, "none") for other in self.seats.values()]
            if self._reporting.is_everyones("connect", kinds, [fault]):
                self._cut_off = time.monotonic()
            elif time.monotonic() - self._cut_off > 1.5 * timeout:  # the others may be only sooner back than this one
                self.apply(seat, Event.GIVEN_UP, fault, cause=Cause.UNREACHABLE)
                return

    def _retire(self, seat: Seat, fault: Fault | None) -> None:
        instance, seat.instance = seat.instance, None
        self._end(instance)
        if fault is not None and seat.submission.deployment_id != seat.deployment_id:
            return  # the fault was the old code's; the new code on its way is what it waits for
        self._forgo(seat)
        self._unsettled.discard(seat.model.id)
        self._check_settled()

    def _end(self, instance: Instance | None) -> None:
        if instance is not None:
            self._players.pop(instance, None)
            self._tasks.start_soon(self._host.stop, instance)

    # What the author asks for.

    async def stop(self, seat: Seat, reason: str, cause: Cause | None) -> None:
        """Take a model out of the game."""
        instance = seat.instance
        self.apply(seat, Event.STOP, None, reason, cause)
        if instance is not None:
            await self._host.stop(instance)

    def readmit(self, seat: Seat) -> None:
        """Start a model afresh, with clean strikes; one that plays is ended first."""
        instance, seat.instance = seat.instance, None
        self._wipe(seat)
        self._end(instance)
        self._bring_up(seat)
