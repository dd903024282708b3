"""Loads an instance for a seat, has `on_join` introduce it, seats it, and ends the one that it replaces."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any

import anyio
from anyio.abc import TaskGroup

from crunch_game import events
from crunch_game.faults import describe_exception, fault_of
from crunch_game.hosts.base import Host, Instance, Loaded, LoadFailure
from crunch_game.lineup._observing import News
from crunch_game.lineup._seats import Fresh, Player, Seat
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Cause, Policy, State, Trigger, restart_delay


class Instances:
    """Starts and ends what sits in the seats, in background tasks. The arguments are Lineup's."""

    def __init__(
        self,
        host: Host,
        policy: Policy,
        introduce: Callable[[Fresh], Awaitable[Any]],
        emit: Callable[[events.RunnerEvent], None],
        notify: Callable[[News], None],
        tasks: TaskGroup,
    ) -> None:
        self._host = host
        self._policy = policy
        self._introduce = introduce
        self._emit = emit
        self._notify = notify
        self._tasks = tasks
        self._players: dict[Instance, Player] = {}
        self._awaited: set[str] = set()
        self._settled = anyio.Event()

    def player(self, instance: Instance) -> Player | None:
        """Whose instance it is; None when it was replaced or ended."""
        return self._players.get(instance)

    # The first loads.

    def expect(self, model_ids: Collection[str]) -> None:
        """These models are the first; `settled` waits for their loads."""
        self._awaited = set(model_ids)
        self._check_settled()

    async def settled(self) -> None:
        """Wait until each of the first models is ready, has failed or is out of the game."""
        await self._settled.wait()

    def await_no_more(self, seat: Seat) -> None:
        """It is known how the model's first load ended, or that it comes to nothing."""
        self._awaited.discard(seat.model.id)
        self._check_settled()

    def _check_settled(self) -> None:
        if not self._awaited:
            self._settled.set()

    # Ending.

    def end(self, seat: Seat) -> None:
        """End the seat's instance, if there is one, in the background."""
        instance, seat.instance = seat.instance, None
        if instance is not None:
            self._players.pop(instance, None)
            self._tasks.start_soon(self._host.stop, instance)

    async def _end_replaced(self, instance: Instance) -> None:
        """End an instance that was replaced, once the call that it may be busy with has had its budget."""
        # The round that asked it is owed its answer: a redeployment must not cost anyone an outcome.
        await anyio.sleep(max([self._policy.timeout, *self._policy.timeouts.values()]))
        await self._host.stop(instance)

    # Loading.

    def bring_up(self, seat: Seat, delay: float = 0.0) -> None:
        """Load the seat's submission in the background, `delay` seconds from now; an earlier load is given up."""
        self.cancel_load(seat)
        seat.unloaded, seat.unreached = None, False
        seat.loading = scope = anyio.CancelScope()
        self._tasks.start_soon(self._load, seat, seat.submission, scope, delay)

    def cancel_load(self, seat: Seat) -> None:
        """Load it no further."""
        if seat.loading is not None:
            seat.loading.cancel()
            seat.loading = None

    async def _load(self, seat: Seat, submission: Submission, scope: anyio.CancelScope, delay: float) -> None:
        with scope:
            await anyio.sleep(delay)
            try:
                loaded = await self._host.start(submission, self._policy.setup_timeout)
            except LoadFailure as error:
                # It may have been cancelled in the very moment that it failed; nobody is told then.
                if not scope.cancel_called:
                    self._not_loaded(seat, submission, error.fault, Cause.NOT_LOADED)
                return
            await self._bring_in(seat, submission, scope, loaded)

    async def _bring_in(self, seat: Seat, submission: Submission, scope: anyio.CancelScope, loaded: Loaded) -> None:
        instance = loaded.instance
        fresh = Fresh(seat, submission, instance, time.monotonic())
        self._players[instance] = fresh
        try:
            fault = await self._warm_up(fresh) if loaded.fresh else None
            if scope.cancel_called:
                return  # in the very moment that the hook ended, so that no await has noticed
            if fresh.lost:
                seat.losses += 1
                self.bring_up(seat, restart_delay(seat.losses))
            elif fault is None:
                self._take_over(seat, fresh, instance, loaded.warnings)
            else:
                # If the instance is well, the hook itself failed: the author's doing, and no roster is told of it.
                hook_failed = fresh.health.state in (State.READY, State.BUSY)
                self._not_loaded(seat, submission, fault, None if hook_failed else Cause.NOT_LOADED)
        finally:
            fresh.instance = None  # whoever still calls by on_join's runner reaches the seat from now on
            if seat.instance is not instance:
                self._players.pop(instance, None)
                with anyio.CancelScope(shield=True):
                    await self._host.stop(instance)

    async def _warm_up(self, fresh: Fresh) -> Fault | None:
        """Run the author's `on_join`; why the model cannot play after it, or None."""
        try:
            await self._introduce(fresh)
        except Exception as error:  # noqa: BLE001 - the author's hook may raise anything; the model is told of it
            return fault_of(error, f"the game's on_join raised {describe_exception(error)}")
        if fresh.health.state in (State.READY, State.BUSY):
            return None
        return fresh.fault or Fault("stopped", f"it did not survive on_join: {fresh.health.reason}")

    def _take_over(self, seat: Seat, fresh: Fresh, instance: Instance, warnings: tuple[str, ...]) -> None:
        """Let the fresh instance play, in place of whoever played until now."""
        now = time.monotonic()
        previous, seat.instance = seat.instance, instance
        self._players[instance] = seat
        seat.loading = None
        seat.losses = 0
        old_deployment, seat.model.deployment_id = seat.model.deployment_id, fresh.deployment_id
        seat.take(fresh.entrance, now, strikes=fresh.health.strikes)
        if fresh.health.state is State.BUSY:
            seat.take(Trigger.ASKED, now)  # on_join has left a call running, which the instance has yet to end
        self._notify(News(seat.submission, State.READY))
        self.await_no_more(seat)
        if fresh.entrance is Trigger.REDEPLOYED:
            self._emit(events.ModelRedeployed(seat.model.id, fresh.deployment_id, old_deployment))
        self._emit(events.ModelReady(seat.model.id, fresh.deployment_id, warnings))
        if previous is not None:
            self._players.pop(previous, None)
            self._tasks.start_soon(self._end_replaced, previous)

    def _not_loaded(self, seat: Seat, submission: Submission, fault: Fault, cause: Cause | None) -> None:
        """Tell that the load failed; the old code plays on, if it does."""
        seat.loading = None
        seat.unloaded, seat.unreached = fault.message, fault.kind in _UNREACHED
        if seat.instance is None or seat.submission.sole:
            self.fail(seat, fault.message)
        self._notify(News(submission, State.FAILED, fault, cause=cause))
        self.await_no_more(seat)
        self._emit(events.ModelLoadFailed(seat.model.id, submission.deployment_id, fault))

    def fail(self, seat: Seat, reason: str) -> None:
        """Nothing of the model plays: its newest code could not be loaded, and its older code runs no more."""
        if seat.instance is not None:
            self.end(seat)
            seat.take(Trigger.READMIT, time.monotonic())
        seat.model.deployment_id = seat.submission.deployment_id
        seat.take(Trigger.LOAD_FAILED, time.monotonic(), reason)


_UNREACHED = ("unreachable", "refused")
"""Kinds of the faults of a load that never got as far as the submission."""
