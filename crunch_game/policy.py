"""What happens to a model: one pure table, the strikes that are counted per method or key, and their limits.

Hosts, rounds and the lineup say what they saw; `Health.after` answers with the outcome of the call, whether it counts,
and the state that follows. Nothing here reads a clock, sends, starts or stops anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import msgspec
from msgspec import structs

from crunch_game._public import public
from crunch_game._quantities import counted
from crunch_game.errors import GameError
from crunch_game.outcomes import Kind, Status

__all__ = [
    "ANSWERED",
    "ASKED",
    "TABLE",
    "Cause",
    "Health",
    "Policy",
    "State",
    "Step",
    "Strikes",
    "Trigger",
    "is_field_fault",
    "reached",
    "restart_delay",
]


@public
@dataclass(frozen=True)
class Policy:
    """Budgets in seconds, limits, and what happens at them. A limit of 0 is none.

    Attributes:
        timeout: Seconds that a model has for one call.
        timeouts: Seconds by method, where a method has another budget.
        setup_timeout: Seconds for loading: imports, `__init__`, the factory.
        unreachable_timeout: Seconds that a lost connection is waited for before the model is stopped.
        max_consecutive_failures: At this many failures of one method, or of one key, in a row the model is stopped.
        max_consecutive_timeouts: The same of timeouts.
        on_timeout: "keep" lets a late model finish; "restart" ends its process and starts it afresh.
        field_fault_share: At this share of failed calls in one round the game is at fault: nobody gets a strike.
        field_fault_min: Fewer models than this are no field.
        capsules: The folder where failing calls are saved, so that they can be played again; None saves nothing.

    Raises:
        GameError: A number is out of its range, or `capsules` is no folder.
    """

    timeout: float = 1.0
    timeouts: Mapping[str, float] = field(default_factory=dict)
    setup_timeout: float = 60.0
    unreachable_timeout: float = 60.0
    max_consecutive_failures: int = 3
    max_consecutive_timeouts: int = 3
    on_timeout: Literal["keep", "restart"] = "keep"
    field_fault_share: float = 0.8
    field_fault_min: int = 5
    capsules: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        budgets = {f"timeouts[{method!r}]": value for method, value in self.timeouts.items()}
        for name in ("timeout", "setup_timeout", "unreachable_timeout"):
            budgets[name] = getattr(self, name)
        for name, value in budgets.items():
            if not 0 < value < float("inf"):
                raise GameError(f"Policy.{name} is {value!r}; it must be seconds, more than 0 and finite")
        for name in ("max_consecutive_failures", "max_consecutive_timeouts"):
            if getattr(self, name) < 0:
                raise GameError(f"Policy.{name} is {getattr(self, name)!r}; it must be 0 (no limit) or more")
        if self.on_timeout not in ("keep", "restart"):
            raise GameError(f'Policy.on_timeout is {self.on_timeout!r}; it must be "keep" or "restart"')
        if not 0 < self.field_fault_share <= 1:
            raise GameError(f"Policy.field_fault_share is {self.field_fault_share!r}; it must be in 0 to 1, and not 0")
        if self.field_fault_min < 0:
            raise GameError(f"Policy.field_fault_min is {self.field_fault_min!r}; it must be 0 or more")
        object.__setattr__(self, "timeouts", MappingProxyType(dict(self.timeouts)))
        if self.capsules is not None:
            object.__setattr__(self, "capsules", _folder(self.capsules))

    def budget(self, method: str) -> float:
        """Seconds that a model has for one call of the method."""
        return self.timeouts.get(method, self.timeout)


def _folder(path: str | os.PathLike[str]) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise GameError(f"Policy.capsules is {path!r}; it must be the path of a folder, or None")
    if Path(path).exists() and not Path(path).is_dir():
        raise GameError(f"Policy.capsules is {os.fspath(path)!r}, which is no folder")
    return Path(path).absolute()


class State(StrEnum):
    """Where a model stands in the game."""

    JOINING = "joining"
    READY = "ready"
    BUSY = "busy"
    RESTARTING = "restarting"
    UNREACHABLE = "unreachable"
    FAILED = "failed"
    STOPPED = "stopped"
    LEFT = "left"


class Trigger(StrEnum):
    """What can happen to a model."""

    LOADED = "loaded"  # a fresh instance of the same code begins to play
    REDEPLOYED = "redeployed"  # a fresh instance of new code begins to play
    LOAD_FAILED = "load failed"
    ASKED = "asked"  # a round begins
    WITHDRAWN = "withdrawn"  # the call was not sent after all
    COUNTED = "counted"  # the round has ended, and with it the call's strike, or its success, is settled
    ANSWERED = "answered"
    INVALID = "invalid"
    RAISED = "raised"
    UNSUPPORTED = "unsupported"
    DEADLINE = "deadline"  # the budget is over, and there is no answer
    LATE = "late"  # the answer came after its deadline
    DIED = "died"
    DROPPED = "dropped"  # the call never reached it: it went away before
    UNREACHED = "unreached"  # the call or its answer got lost on the way, or its node is busy with someone else's
    LOST = "lost"  # the connection
    FOUND = "found"  # the connection, with the same instance behind it
    FORGOTTEN = "forgotten"  # its node has lost the instance
    GIVEN_UP = "given up"  # unreachable for too long
    RESTART = "restart"
    STOP = "stop"
    READMIT = "readmit"  # or new code for a model that does not play
    LEAVE = "leave"


class Cause(StrEnum):
    """Why a model is out of the game."""

    FAILURES = "failures"
    TIMEOUTS = "timeouts"
    UNREACHABLE = "unreachable"
    NOT_LOADED = "not loaded"
    AUTHOR = "author"  # the author's own code said so


class Step(NamedTuple):
    """What follows from a trigger: the outcome of the call, if one ends; what it counts as; the next state."""

    status: Status | None
    strike: Kind
    state: State


_PLAYING = (State.READY, State.BUSY)
_WAITING = (State.JOINING, State.RESTARTING)
_ENDED = (State.FAILED, State.STOPPED)
_IN_THE_GAME = tuple(state for state in State if state is not State.LEFT)

# Every call takes these two. They are looked up once, since before Python 3.12 an enum's members are slow to look up.
ASKED, ANSWERED = Trigger.ASKED, Trigger.ANSWERED

_ANSWERS: Mapping[Trigger, Status] = {
    Trigger.ANSWERED: Status.OK,
    Trigger.INVALID: Status.INVALID,
    Trigger.RAISED: Status.RAISED,
    Trigger.UNSUPPORTED: Status.UNSUPPORTED,
    Trigger.UNREACHED: Status.UNREACHABLE,
}
"""How a call ends whose instance is free again after it."""


def _table() -> dict[tuple[State, Trigger], Step]:
    table: dict[tuple[State, Trigger], Step] = {}

    def on(states: Iterable[State], trigger: Trigger, to: State | None, status: Status | None = None) -> None:
        for state in states:
            table[state, trigger] = Step(status, status.kind if status else "none", to or state)

    # A call. Only a model that plays is sent it; a busy one is waited for.
    on(_PLAYING, Trigger.ASKED, State.BUSY)
    on((*_WAITING, *_ENDED), Trigger.ASKED, None, Status.SKIPPED)
    on((State.UNREACHABLE,), Trigger.ASKED, None, Status.UNREACHABLE)
    on((State.BUSY,), Trigger.WITHDRAWN, State.READY)
    for trigger, status in _ANSWERS.items():
        on(_PLAYING, trigger, State.READY, status)
    on(_PLAYING, Trigger.DEADLINE, None, Status.TIMEOUT)  # it stays busy: LATE will end the call
    on(_PLAYING, Trigger.LATE, State.READY)
    on(_PLAYING, Trigger.DROPPED, None, Status.SKIPPED)
    on(_IN_THE_GAME, Trigger.COUNTED, None)

    # A call whose model went away meanwhile ends without a strike: what took the model away has its own.
    for trigger in (*_ANSWERS, Trigger.DEADLINE, Trigger.DROPPED):
        on((*_WAITING, *_ENDED), trigger, None, Status.SKIPPED)
        on((State.UNREACHABLE,), trigger, None, Status.UNREACHABLE)
    # The end of what was lost, or is loaded or ended anyway, is no news of the model's.
    on((*_WAITING, *_ENDED), Trigger.DIED, None, Status.SKIPPED)
    on((State.UNREACHABLE,), Trigger.DIED, State.RESTARTING, Status.UNREACHABLE)

    # An instance that was replaced, or whose model left, is out of the game. It may still answer what it was asked
    # before: that is the call's outcome, and nobody's strike.
    for trigger, status in _ANSWERS.items():
        table[State.LEFT, trigger] = Step(status, "none", State.LEFT)
    for trigger in (Trigger.DEADLINE, Trigger.DROPPED, Trigger.DIED, Trigger.LOST):
        table[State.LEFT, trigger] = Step(Status.SKIPPED, "none", State.LEFT)

    # A life. A fresh instance may take the place of one that plays or is lost: new code is never waited for, and the
    # same code may move to another node. Code that failed or was stopped plays again only when it is readmitted.
    on((*_WAITING, *_PLAYING, State.UNREACHABLE), Trigger.LOADED, State.READY)
    on(_IN_THE_GAME, Trigger.REDEPLOYED, State.READY)
    on(_WAITING, Trigger.LOAD_FAILED, State.FAILED)
    on(_PLAYING, Trigger.DIED, State.RESTARTING, Status.DIED)
    on(_PLAYING, Trigger.RESTART, State.RESTARTING)

    # A connection. Losing it is nobody's strike.
    on(_PLAYING, Trigger.LOST, State.UNREACHABLE, Status.UNREACHABLE)
    on((State.UNREACHABLE,), Trigger.LOST, None, Status.UNREACHABLE)
    on((State.UNREACHABLE,), Trigger.FOUND, State.READY)
    on((State.UNREACHABLE,), Trigger.RESTART, State.RESTARTING)
    on((*_PLAYING, State.UNREACHABLE), Trigger.FORGOTTEN, State.RESTARTING)
    on((State.UNREACHABLE,), Trigger.GIVEN_UP, State.STOPPED)

    on(_IN_THE_GAME, Trigger.STOP, State.STOPPED)
    on(_IN_THE_GAME, Trigger.READMIT, State.JOINING)
    on(_IN_THE_GAME, Trigger.LEAVE, State.LEFT)
    return table


_STEPS = _table()
TABLE: Mapping[tuple[State, Trigger], Step] = MappingProxyType(_STEPS)
"""(state, trigger) -> what follows. A pair that is absent changes nothing: the trigger came too late to matter."""


@dataclass(frozen=True, slots=True)
class Strikes:
    """How often one method, or one key, failed, and was late, since its last success."""

    failures: int = 0
    timeouts: int = 0


class Health(msgspec.Struct, frozen=True, gc=False):
    """Where one model stands: its state, its strikes, and why it does not play.

    Attributes:
        state: The state.
        since: Seconds on the runner's clock at which it entered the state.
        strikes: Strikes by what they are counted under: a method's name, or a key. What has none is absent.
        reason: Why it is not playing, or None.
        deaths: How often it died lately; the next restart waits the longer for it.
        loaded: Seconds on the runner's clock at which the instance became ready, or None.
        strike_epoch: Grows whenever the strikes are wiped off: a call from an earlier epoch counts no more.
        lost: Whether it is being restarted since its host lost it, and did not die of its own.
    """

    state: State = State.JOINING
    since: float = 0.0
    strikes: Mapping[str, Strikes] = {}
    reason: str | None = None
    deaths: int = 0
    loaded: float | None = None
    strike_epoch: int = 0
    lost: bool = False

    @property
    def excuses(self) -> bool:
        """Whether it is not the model's own doing that it cannot be called.

        Who is loaded once more, after it failed, was stopped or left, or since newer code came before it ever played,
        is not excused: else new code every minute would be a way to sit out whatever is hard.
        """
        if self.state is State.JOINING:
            return not self.strike_epoch
        return self.lost if self.state is _RESTARTING else self.state in _PLAYING

    def after(
        self, trigger: Trigger, now: float, reason: str | None = None, strikes: Mapping[str, Strikes] | None = None
    ) -> tuple[Health, Step]:
        """The health that follows, and the step of the table that was taken.

        Args:
            trigger: What happened.
            now: Seconds on the runner's clock.
            reason: Why the model does not play from now on, if that is what follows.
            strikes: The strikes from now on: those that COUNTED settles, or those that the fresh instance of LOADED
                or REDEPLOYED has earned before it began to play.
        """
        step = _STEPS.get((self.state, trigger))
        if step is None:
            return self, Step(None, "none", self.state)
        if trigger in _SET_STRIKES:
            return self._with_strikes(trigger, step.state, now, strikes), step
        state = step.state
        if state is self.state:
            return self, step
        deaths, lost = self.deaths, False
        if state is _RESTARTING:
            lost = trigger is Trigger.FORGOTTEN or self.state is State.UNREACHABLE
            steady = self.loaded is not None and now - self.loaded >= _STABLE_SECONDS
            deaths = 1 if steady else deaths + 1
        reason = None if state in _PLAYING else reason
        return Health(state, now, self.strikes, reason, deaths, self.loaded, self.strike_epoch, lost), step

    def _with_strikes(
        self, trigger: Trigger, state: State, now: float, strikes: Mapping[str, Strikes] | None
    ) -> Health:
        """What follows from a trigger that settles the strikes, or wipes them off."""
        own = self.strikes if strikes is None else strikes
        if trigger is Trigger.COUNTED:
            return structs.replace(self, strikes=own)
        if trigger is Trigger.LOADED:
            return structs.replace(self, state=state, since=now, strikes=own, reason=None, loaded=now)
        loaded = now if trigger is Trigger.REDEPLOYED else None
        return Health(state, now, strikes or {}, loaded=loaded, strike_epoch=self.strike_epoch + 1)

    def counted(self, name: str, kind: Kind) -> Mapping[str, Strikes]:
        """The strikes with one more of a method or key, or with none of it when it succeeded: what COUNTED takes."""
        strikes = self.strikes.get(name)
        if kind == "none" or (kind == "success" and strikes is None):
            return self.strikes
        others = {other: value for other, value in self.strikes.items() if other != name}
        if kind == "success":
            return others
        strikes = strikes or Strikes()
        if kind == "failure":
            return {**others, name: replace(strikes, failures=strikes.failures + 1)}
        return {**others, name: replace(strikes, timeouts=strikes.timeouts + 1)}

    def over(self, name: str, policy: Policy) -> str | None:
        """Why the model must be stopped, once a method or key has reached a limit; else None."""
        strikes = self.strikes.get(name)
        if strikes is None:
            return None
        for count, most, what in (
            (strikes.failures, policy.max_consecutive_failures, "failure"),
            (strikes.timeouts, policy.max_consecutive_timeouts, "timeout"),
        ):
            if most and count >= most:
                return f"{counted(count, what)} of {name} in a row (the limit is {most})"
        return None


_RESTARTING = State.RESTARTING
_SET_STRIKES = frozenset({Trigger.COUNTED, Trigger.LOADED, Trigger.REDEPLOYED, Trigger.READMIT})
_STABLE_SECONDS = 60.0
"""After living this long, a model that dies is restarted as soon as after its first death."""


def restart_delay(deaths: int) -> float:
    """Seconds to wait before a model that died is started again: at once, then 0.2, 0.4, ... up to 60."""
    return 0.0 if deaths <= 1 else min(60.0, 0.1 * 2.0 ** min(deaths - 1, 16))


def reached(state: State) -> Kind:
    """What a model's state says of the network between: whether it counts for it, against it, or for nothing."""
    if state is State.UNREACHABLE:
        return "failure"
    return "success" if state in _PLAYING else "none"


def is_field_fault(kinds: Iterable[Kind], policy: Policy) -> bool:
    """Whether so much of the field failed one call that the game is at fault, and nobody gets a strike."""
    counted = [kind for kind in kinds if kind != "none"]
    failed = sum(kind != "success" for kind in counted)
    return len(counted) >= max(1, policy.field_fault_min) and failed >= policy.field_fault_share * len(counted)
