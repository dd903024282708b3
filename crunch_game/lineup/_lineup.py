"""Who plays: follows the roster, and does what each state of a model asks for."""

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

from crunch_game import events
from crunch_game.errors import UnknownModel
from crunch_game.hosts.base import Host, Instance, Setup
from crunch_game.lineup._instances import Instances
from crunch_game.lineup._observing import News, Observer
from crunch_game.lineup._reporting import FieldWatch, Reporting
from crunch_game.lineup._seats import Fresh, Player, Seat, Verdict
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Cause, Health, Policy, State, Trigger, reached, restart_delay
from crunch_game.rosters.base import RemoteRoster, Roster


class Lineup:
    """The models of one runner. All of it happens on the event loop.

    Args:
        roster: Says who is in the game.
        host: Where models run.
        setup: How they are made.
        policy: What happens to them.
        introduce: The author's `on_join`, awaited with every fresh instance before it plays.
        emit: Tells the author of everything that happens.
        observers: Who else is told.
        tasks: Where loads and ends run in the background.
    """

    def __init__(
        self,
        roster: Roster,
        host: Host,
        setup: Setup,
        policy: Policy,
        introduce: Callable[[Fresh], Awaitable[Any]],
        emit: Callable[[events.RunnerEvent], None],
        observers: Iterable[Observer],
        tasks: TaskGroup,
    ) -> None:
        self._roster = roster
        self._host = host
        self._setup = setup
        self._policy = policy
        self._emit = emit
        self._tasks = tasks
        self._field = FieldWatch(policy, emit)
        self._instances = Instances(host, policy, introduce, emit, self._notify, tasks)
        self._gone: set[str] = set()
        """Models that left: asking for one is no mistake of the author's."""
        self._heard: deque[Callable[[], None]] = deque()
        self._bell = anyio.Event()
        self._cut_off = -math.inf
        """When most of the field was last found unreachable."""
        self.observers = tuple(observers)
        if isinstance(roster, RemoteRoster):
            self.observers += (Reporting(roster, self._field),)
        self.seats: dict[str, Seat] = {}
        self.closed = False

    def _notify(self, news: News) -> None:
        for observer in self.observers:
            observer.hear(news)

    # The roster.

    async def follow(self, *, task_status: TaskStatus[None]) -> None:
        """Open the host with the roster's first models, then follow its changes for good."""
        self._tasks.start_soon(self._listen)
        if isinstance(self._roster, RemoteRoster):
            self._roster.listen(lambda event: self._hear(partial(self._hear_of_roster, event)))
        async with aclosing(self._roster.follow()) as snapshots:
            opened = False
            async for snapshot in snapshots:
                if opened:
                    self._adopt(snapshot)
                    continue
                opened = True
                await self._host.open(self._setup, list(snapshot.values()), self)
                self._adopt(snapshot)
                self._instances.expect(snapshot)
                task_status.started()

    def close(self) -> None:
        """Start and end nothing any more: the host ends everything."""
        self.closed = True

    async def settled(self) -> None:
        """Wait until every model of the roster's first word is ready or has failed."""
        await self._instances.settled()

    def _adopt(self, snapshot: Mapping[str, Submission]) -> None:
        """Do what is new in the roster's newest word."""
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
            elif submission.sole and seat.unloaded is not None and seat.instance is not None:
                self._instances.fail(seat, seat.unloaded)

    def _join(self, submission: Submission) -> None:
        seat = self.seats[submission.id] = Seat(submission, time.monotonic())
        if submission.id in self._gone:
            self._gone.remove(submission.id)
            seat.take(Trigger.READMIT, time.monotonic())  # so that leaving for a moment excuses from nothing
        self._notify(News(submission, State.JOINING))
        self._emit(events.ModelJoined(submission.id, submission.deployment_id))
        self._instances.bring_up(seat)

    def _redeploy(self, seat: Seat) -> None:
        """Load the new code; the old plays on until it is ready, unless it was out of the game already."""
        if seat.health.state in (State.FAILED, State.STOPPED):
            self._try_again(seat)
            return
        if seat.health.state is State.JOINING:
            seat.take(Trigger.READMIT, time.monotonic())  # new code every minute would excuse from every round
        self._instances.bring_up(seat)

    def _interrupt(self, seat: Seat) -> None:
        """The roster says that the model is away for now: nothing of it is left, and nothing is held against it."""
        self._instances.cancel_load(seat)
        self._notify(News(seat.submission, State.UNREACHABLE))
        self._instances.end(seat)
        self._apply(seat, Trigger.LOST, Fault("away", "its node is being recovered"))

    def _move(self, seat: Seat) -> None:
        """The same code is back, or runs elsewhere; its strikes stay."""
        state = seat.health.state
        if seat.submission.away or (state is State.STOPPED and not seat.unreached):
            return
        if state is State.UNREACHABLE:
            self._apply(seat, Trigger.RESTART, Fault("moved", "its node is back"))
        elif state in (State.FAILED, State.STOPPED):
            self._try_again(seat)
        else:
            self._instances.bring_up(seat)

    def _hear_of_roster(self, event: events.RosterLost | events.RosterFound) -> None:
        """Tell the author. Whoever could not be reached is tried again once the roster is: both may have been us."""
        self._emit(event)
        if isinstance(event, events.RosterFound):
            for seat in self.seats.values():
                if seat.unreached and seat.health.state in (State.FAILED, State.STOPPED) and not seat.submission.away:
                    self._try_again(seat)

    def _try_again(self, seat: Seat) -> None:
        """Load it afresh, with clean strikes."""
        seat.take(Trigger.READMIT, time.monotonic())
        self._notify(News(seat.submission, State.JOINING))
        self._instances.bring_up(seat)

    def _leave(self, seat: Seat) -> None:
        del self.seats[seat.model.id]
        self._gone.add(seat.model.id)
        self._notify(News(seat.submission, State.LEFT))
        self._apply(seat, Trigger.LEAVE, None)

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

    # What the host says of instances, outside a call.

    def happened(self, instance: Instance, trigger: Trigger, fault: Fault | None) -> None:
        """Hear from the host what happens outside a call."""
        self._hear(partial(self._happened, instance, trigger, fault))

    def loop_blocked(self, seconds: float) -> None:
        """Hear from the host that the author's code held the event loop."""
        self._hear(partial(self._emit, events.LoopBlocked(seconds)))

    def _hear(self, reaction: Callable[[], None]) -> None:
        self._heard.append(reaction)
        self._bell.set()

    async def _listen(self) -> None:
        """React in a task: the host may speak outside of any, where asyncio can start none."""
        while True:
            await self._bell.wait()
            self._bell = anyio.Event()
            while self._heard:
                self._heard.popleft()()

    def _happened(self, instance: Instance, trigger: Trigger, fault: Fault | None) -> None:
        player = self._instances.player(instance)
        if player is not None:
            self._apply(player, trigger, fault)

    # What follows.

    def enact(self, verdicts: Iterable[Verdict], field_fault: events.FieldFault | None) -> None:
        """Do what a round has found to be done."""
        if field_fault is not None:
            self._emit(field_fault)
        for player, trigger, fault, reason, cause in verdicts:
            if trigger is None:
                self._enact(player, fault, cause)
            else:
                self._apply(player, trigger, fault, reason, cause)

    def _apply(
        self,
        player: Player,
        trigger: Trigger,
        fault: Fault | None,
        reason: str | None = None,
        cause: Cause | None = None,
    ) -> None:
        """Take one trigger to the policy's table, and do what the new state asks for."""
        before = player.health.state
        step = player.take(trigger, time.monotonic(), reason or (fault.message if fault else None))
        if step.state is not before:
            self._enact(player, fault, cause)

    def _enact(self, player: Player, fault: Fault | None, cause: Cause | None) -> None:
        """Do what the player's new state asks for: end it, start it again, or wait for it."""
        if isinstance(player, Fresh):
            player.fault = fault or player.fault  # who awaits its on_join does the rest
            return
        if self.closed:
            return
        seat, state = player.seat, player.health.state
        if state is State.RESTARTING:
            self._restart(seat, fault or Fault("died", "it ended"))
        elif state is State.UNREACHABLE:
            self._tasks.start_soon(self._wait_for, seat, seat.health)
        elif state is State.STOPPED:
            self._stop(seat, fault, cause)
        elif state is State.LEFT:
            self._retire(seat)
            self._emit(events.ModelLeft(seat.model.id, seat.deployment_id))

    def _restart(self, seat: Seat, fault: Fault) -> None:
        self._instances.end(seat)
        if seat.loading is not None:
            return  # new code is on its way
        delay = restart_delay(seat.health.deaths)
        self._emit(events.ModelRestarted(seat.model.id, seat.deployment_id, fault, delay))
        self._instances.bring_up(seat, delay)

    async def _wait_for(self, seat: Seat, lost: Health) -> None:
        """Stop a model whose connection stays lost, unless that is not the model's alone, or others see to it."""
        timeout = self._policy.unreachable_timeout
        while True:
            await anyio.sleep(timeout)
            if (seat.health.state, seat.health.since) != (State.UNREACHABLE, lost.since):
                return
            fault = Fault("unreachable", f"its connection was lost for {timeout:g} s: {lost.reason}")
            if seat.submission.away or seat.loading is not None:
                continue
            kinds = [reached(other.health.state) for other in self.seats.values()]
            if self._field.is_everyones("connect", kinds, [fault]):
                self._cut_off = time.monotonic()
            elif time.monotonic() - self._cut_off > 1.5 * timeout:  # the others may be only sooner back than this one
                self._apply(seat, Trigger.GIVEN_UP, fault, cause=Cause.UNREACHABLE)
                return

    def _stop(self, seat: Seat, fault: Fault | None, cause: Cause | None) -> None:
        is_newest = seat.submission.deployment_id == seat.deployment_id
        if fault is not None and not is_newest:
            self._instances.end(seat)  # the fault was the old code's; the new code on its way is to play
        else:
            self._retire(seat)
            seat.unreached = cause is Cause.UNREACHABLE
        reason = seat.health.reason or "stopped"
        self._emit(events.ModelStopped(seat.model.id, seat.deployment_id, reason, fault))
        self._notify(News(seat.submission, State.STOPPED, fault, reason, cause if is_newest else None))

    def _retire(self, seat: Seat) -> None:
        """Nothing of the model is left, nor on its way."""
        self._instances.end(seat)
        self._instances.cancel_load(seat)
        self._instances.await_no_more(seat)

    # What the author asks for.

    async def stop(self, seat: Seat, reason: str, cause: Cause | None) -> None:
        """Take a model out of the game, and wait until its instance has ended. No cause: its roster is not told."""
        instance = seat.instance
        self._apply(seat, Trigger.STOP, None, reason, cause)
        if instance is not None:
            await self._host.stop(instance)

    def readmit(self, seat: Seat) -> None:
        """Start a model afresh, with clean strikes; one that plays is ended first."""
        self._instances.end(seat)
        self._try_again(seat)
