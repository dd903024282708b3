"""Follows every round, and has failing calls saved as capsules. Not even imported without `Policy(capsules=...)`."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import anyio
import anyio.to_thread
import msgspec
from anyio.abc import TaskGroup

from crunch_game import events
from crunch_game.capsules._capsule import Told
from crunch_game.capsules._history import NOTHING, CallHistory, Kept, Recent
from crunch_game.capsules._writing import Capture, isolation_of, write
from crunch_game.encoding import Unsendable, encode
from crunch_game.errors import CrunchGameError
from crunch_game.faults import describe_exception
from crunch_game.hosts.base import Call, Host, Instance, Setup
from crunch_game.lineup import News, Observer, Player
from crunch_game.outcomes import Outcome, Status
from crunch_game.policy import Health, State
from crunch_game.sources import absolute

_MAX_IN_A_ROW: Final = 3
_MAX_IN_ALL: Final = 10
"""Capsules of one method of one deployment: without a success in between, and ever. The first ones tell most."""
_MAX_PENDING: Final = 200
"""Capsules that wait to be written."""
_PARTING_SECONDS: Final = 5.0
"""For writing, when the runner is left."""

_FAILED: Final = frozenset({Status.INVALID, Status.RAISED, Status.DIED, Status.TIMEOUT})


class Recorder(Observer):
    """Follows the rounds of one runner.

    It keeps the last calls that promise no answer, such as `tick`, because later answers depend on them.

    Args:
        folder: Where capsules are written.
        setup: How the runner makes models.
        host: Where it makes them.
        setup_timeout: The seconds that a load has.
        emit: Told of every capsule.
        tasks: Where the writing waits for its thread.
    """

    def __init__(
        self,
        folder: Path,
        setup: Setup,
        host: Host,
        setup_timeout: float,
        emit: Callable[[events.RunnerEvent], None],
        tasks: TaskGroup,
    ) -> None:
        self._folder = folder.absolute()  # it is written to on a thread, while a model's folder may be the current one
        self._setup = setup
        self._isolation = isolation_of(host)
        self._setup_timeout = setup_timeout
        self._emit = emit
        self._tasks = tasks
        self._rounds = 0
        self._history = CallHistory()
        self._quotas: dict[tuple[str, str | None], _Quota] = {}
        self._pending: deque[Capture] = deque()
        self._writing = False

    def follow(
        self, call: Call, players: Mapping[Player, Mapping[str, Any] | None]
    ) -> Callable[[Sequence[Outcome]], None]:
        """Note what comes of a round."""
        self._rounds += 1
        # Who is asked is remembered as it is now: by the round's end, who failed may have been replaced.
        asked = {
            player.model.id: _Before(player.instance, player.health, extra)
            for player, extra in players.items()
            if player.instance is not None
        }
        return partial(self._note, _Noted(call, self._rounds), asked)

    def hear(self, news: News) -> None:
        """Save a submission that could not be loaded."""
        submission, fault = news.submission, news.fault
        if news.state is not State.FAILED or fault is None:
            return
        if self._is_saved(submission.id, submission.deployment_id, None):
            self._save(
                Capture(
                    model_id=submission.id,
                    deployment_id=submission.deployment_id,
                    source=absolute(submission.source),
                    loaded=math.inf,
                    failing=None,
                    recent=Recent(submission.id, (), 0),
                    status={"timeout": Status.TIMEOUT, "died": Status.DIED}.get(fault.kind, Status.RAISED),
                    fault=fault,
                    budget=self._setup_timeout,
                    elapsed=0.0,
                    isolation=self._isolation,
                )
            )

    def _note(self, noted: _Noted, asked: Mapping[str, _Before], outcomes: Sequence[Outcome]) -> None:
        keeps, quotas, append = noted.keeps, self._quotas, self._history.append
        for outcome in outcomes:
            status = outcome.status
            failed = status in _FAILED
            if not failed:
                if status is not Status.OK or not (keeps or quotas):
                    continue
                quota = quotas.get((outcome.model_id, outcome.method))
                if quota is not None:
                    quota.in_a_row = 0
            before = asked.get(outcome.model_id)
            missed = status is Status.TIMEOUT and outcome.error is not None and outcome.error.kind == "busy"
            if before is None or missed:
                continue  # the call never reached it; what it was busy with has its own capsule
            if failed and self._is_saved(outcome.model_id, outcome.deployment_id, outcome.method):
                self._capture(noted, before, outcome)
            if keeps:
                if noted.kept is None:
                    noted.kept = self._history.begin(noted.order, noted.call.method.name, noted.args)
                if before.extra:
                    self._history.add_extra(noted.kept, outcome.model_id, _encoded(before.extra))
                append(before.instance, outcome.model_id, noted.kept, status)

    def _is_saved(self, model_id: str, deployment_id: str, method: str | None) -> bool:
        """Count a failure; whether it is one of those to save."""
        quota = self._quotas.get((model_id, method))
        if quota is None or quota.deployment_id != deployment_id:
            quota = self._quotas[model_id, method] = _Quota(deployment_id)
        if quota.in_a_row >= _MAX_IN_A_ROW or quota.in_all >= _MAX_IN_ALL:
            return False
        quota.in_a_row += 1
        quota.in_all += 1
        return True

    def _capture(self, noted: _Noted, before: _Before, outcome: Outcome) -> None:
        args, further = noted.args, _encoded(before.extra) if before.extra else NOTHING
        assert outcome.error is not None
        if args is None or further is None:
            self._lost(outcome.model_id, outcome.deployment_id, outcome.method, "its arguments cannot be written down")
            return
        loaded = before.health.loaded or before.health.since
        self._save(
            Capture(
                model_id=outcome.model_id,
                deployment_id=outcome.deployment_id,
                source=absolute(before.instance.submission.source),
                loaded=time.time() - (time.monotonic() - loaded),
                failing=Told(outcome.method, msgspec.Raw(args), msgspec.Raw(further), outcome.status),
                recent=self._history.recent(before.instance, outcome.model_id),
                status=outcome.status,
                fault=outcome.error,
                budget=outcome.budget,
                elapsed=outcome.elapsed,
                isolation=self._isolation,
            )
        )

    # Writing.

    def _save(self, capture: Capture) -> None:
        if self._tasks.cancel_scope.cancel_called:
            return  # the runner is being left: what fails now fails because of that
        if len(self._pending) >= _MAX_PENDING:
            self._lost(*capture.which, f"{_MAX_PENDING} others wait to be written")
            return
        self._pending.append(capture)
        if not self._writing:
            self._writing = True
            self._tasks.start_soon(self._write_all)

    async def _write_all(self) -> None:
        """Write what is pending, one after the other; when the runner is left, for a few seconds more."""
        until = math.inf
        while self._pending:
            if anyio.current_effective_deadline() == -math.inf:
                until = min(until, time.monotonic() + _PARTING_SECONDS)
            capture = self._pending.popleft()
            if time.monotonic() > until:
                self._lost(*capture.which, "the runner was left before it was written")
                continue
            with anyio.CancelScope(shield=True):
                told = await anyio.to_thread.run_sync(self._write, capture)
            self._emit(told)
        self._writing = False

    def _write(self, capture: Capture) -> events.CapsuleSaved | events.CapsuleLost:
        try:
            path = write(capture, self._setup, self._folder)
        except (CrunchGameError, Unsendable) as error:
            return events.CapsuleLost(*capture.which, str(error))
        except Exception as error:  # noqa: BLE001 - whatever cannot be saved, the game goes on
            return events.CapsuleLost(*capture.which, describe_exception(error))
        return events.CapsuleSaved(*capture.which, path)

    def _lost(self, model_id: str, deployment_id: str, method: str | None, reason: str) -> None:
        self._emit(events.CapsuleLost(model_id, deployment_id, method, reason))


class _Before(NamedTuple):
    """How a player stood before a round, and the further arguments that it got."""

    instance: Instance
    health: Health
    extra: Mapping[str, Any] | None


class _Noted:
    """What is noted of one round while it goes on."""

    def __init__(self, call: Call, order: int) -> None:
        self.call = call
        self.keeps = call.method.silent or call.method.returns is Any
        """Whether later answers may depend on the call: it tells models something, and promises no answer."""
        self.kept: Kept | None = None
        self.order = order

    @cached_property
    def args(self) -> bytes | None:
        """The arguments, encoded once and only if they are needed; None when they cannot be encoded."""
        return _encoded((self.call.args, self.call.kwargs))


@dataclass(slots=True)
class _Quota:
    """How many failures of one method of one deployment have been saved."""

    deployment_id: str
    in_a_row: int = 0
    in_all: int = 0


def _encoded(value: Any) -> bytes | None:
    try:
        return encode(value)
    except Unsendable:
        return None
