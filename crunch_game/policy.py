"""What happens to a model: one pure table, the strikes that are counted per method, and their limits.

Hosts and the runner feed `Health.after` the events they see; it answers with the outcome of the call, whether it
counts, and the state that follows. Nothing here reads a clock, sends, starts or stops anything.
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

from crunch_game.errors import GameError
from crunch_game.outcomes import Kind, Status
from crunch_game.public import public
from crunch_game.wording import counted

__all__ = [
    "ANSWERED",
    "TABLE",
    "Cause",
    "Event",
    "Health",
    "Policy",
    "State",
    "Step",
    "Strikes",
    "is_field_fault",
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
        max_consecutive_failures: At this many failures of one method in a row the model is stopped.
        max_consecutive_timeouts: At this many timeouts of one method in a row the model is stopped.
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


class Event(StrEnum):
    """What can happen to a model."""

    LOADED = "loaded"  # a fresh instance is ready to play
    LOAD_FAILED = "load failed"
    ASKED = "asked"  # a round begins
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
    """What follows from an event: the outcome of the call, if one ends; what it counts as; the next state."""

    status: Status | None
    strike: Kind
    state: State


_PLAYING = (State.READY, State.BUSY)
# Every call asks for these, and before Python 3.12 an enum's members are slow to look up.
ANSWERED = Event.ANSWERED
_READMIT, _LOADED, _RESTARTING = Event.READMIT, Event.LOADED, State.RESTARTING


def _table() -> dict[tuple[State, Event], Step]:
    table: dict[tuple[State, Event], Step] = {}

    def on(states: Iterable[State], event: Event, to: State | None, status: Status | None = None) -> None:
        for state in states:
            table[state, event] = Step(status, status.kind if status else "none", to or state)

    playing = _PLAYING
    waiting = (State.JOINING, State.RESTARTING)
    ended = (State.FAILED, State.STOPPED)
    every = tuple(state for state in State if state is not State.LEFT)

    # A call. Only a model that plays is sent it; a busy one is waited for.
    on(playing, Event.ASKED, State.BUSY)
    on((*waiting, *ended), Event.ASKED, None, Status.SKIPPED)
    on((State.UNREACHABLE,), Event.ASKED, None, Status.UNREACHABLE)
    on(playing, Event.ANSWERED, State.READY, Status.OK)
    on(playing, Event.INVALID, State.READY, Status.INVALID)
    on(playing, Event.RAISED, State.READY, Status.RAISED)
    on(playing, Event.UNSUPPORTED, State.READY, Status.UNSUPPORTED)
    on(playing, Event.DEADLINE, None, Status.TIMEOUT)
    on(playing, Event.LATE, State.READY)

    # A call whose model went away, or was taken away, meanwhile ends without a strike: the cause has its own.
    on(playing, Event.DROPPED, None, Status.SKIPPED)
    on(playing, Event.UNREACHED, State.READY, Status.UNREACHABLE)
    for event in (
        Event.ANSWERED,
        Event.INVALID,
        Event.RAISED,
        Event.UNSUPPORTED,
        Event.DEADLINE,
        Event.DROPPED,
        Event.UNREACHED,
    ):
        on((*waiting, *ended), event, None, Status.SKIPPED)
        on((State.UNREACHABLE,), event, None, Status.UNREACHABLE)
    on((*waiting, *ended), Event.DIED, None, Status.SKIPPED)
    on((State.UNREACHABLE,), Event.DIED, State.RESTARTING, Status.UNREACHABLE)

    on(waiting, Event.LOADED, State.READY)
    on(waiting, Event.LOAD_FAILED, State.FAILED)
    on(playing, Event.DIED, State.RESTARTING, Status.DIED)
    on(playing, Event.RESTART, State.RESTARTING)

    # A connection. Losing it is nobody's strike.
    on(playing, Event.LOST, State.UNREACHABLE, Status.UNREACHABLE)
    on((State.UNREACHABLE,), Event.LOST, None, Status.UNREACHABLE)
    on((State.UNREACHABLE,), Event.FOUND, State.READY)
    on((State.UNREACHABLE,), Event.RESTART, State.RESTARTING)
    on((*playing, State.UNREACHABLE), Event.FORGOTTEN, State.RESTARTING)
    on((State.UNREACHABLE,), Event.GIVEN_UP, State.STOPPED)

    on(every, Event.STOP, State.STOPPED)
    on(every, Event.READMIT, State.JOINING)
    on(every, Event.LEAVE, State.LEFT)
    return table


_STEPS = _table()
TABLE: Mapping[tuple[State, Event], Step] = MappingProxyType(_STEPS)
"""(state, event) -> what follows. A pair that is absent changes nothing: the event came too late to matter."""


@dataclass(frozen=True, slots=True)
class Strikes:
    """How often one method failed, and was late, since its last success."""

    failures: int = 0
    timeouts: int = 0


class Health(msgspec.Struct, frozen=True, gc=False):
    """Where one model stands: its state, its strikes, and why it does not play.

    Attributes:
        state: The state.
        since: Seconds on the runner's clock at which it entered the state.
        strikes: Strikes by method; methods without any are absent.
        reason: Why it is not playing, or None.
        deaths: How often it died lately; the next restart waits the longer for it.
        loaded: Seconds on the runner's clock at which the instance became ready, or None.
    """

    state: State = State.JOINING
    since: float = 0.0
    strikes: Mapping[str, Strikes] = {}
    reason: str | None = None
    deaths: int = 0
    loaded: float | None = None

    def after(self, event: Event, now: float, reason: str | None = None) -> tuple[Health, Step]:
        """The health that follows, and the step of the table that was taken."""
        step = _STEPS.get((self.state, event))
        if step is None:
            return self, Step(None, "none", self.state)
        state = step.state
        if event is _READMIT:
            return Health(state, now), step
        if state is self.state:
            return self, step
        loaded, deaths = now if event is _LOADED else self.loaded, self.deaths
        if state is _RESTARTING:
            steady = loaded is not None and now - loaded >= _STEADY
            deaths = 1 if steady else deaths + 1
        return Health(state, now, self.strikes, None if state in _PLAYING else reason, deaths, loaded), step

    def counted(self, method: str, kind: Kind) -> Health:
        """The health with one more strike of the method, or with none when it succeeded."""
        strikes = self.strikes.get(method)
        if kind == "none" or (kind == "success" and strikes is None):
            return self
        others = {name: value for name, value in self.strikes.items() if name != method}
        if kind == "success":
            return structs.replace(self, strikes=others)
        strikes = strikes or Strikes()
        if kind == "failure":
            strikes = replace(strikes, failures=strikes.failures + 1)
        else:
            strikes = replace(strikes, timeouts=strikes.timeouts + 1)
        return structs.replace(self, strikes={**others, method: strikes})

    def over(self, method: str, policy: Policy) -> str | None:
        """Why the model must be stopped, once the method has reached a limit; else None."""
        strikes = self.strikes.get(method)
        if strikes is None:
            return None
        for count, most, what in (
            (strikes.failures, policy.max_consecutive_failures, "failure"),
            (strikes.timeouts, policy.max_consecutive_timeouts, "timeout"),
        ):
            if most and count >= most:
                return f"{counted(count, what)} of {method} in a row (the limit is {most})"
        return None


_STEADY = 60.0
"""Seconds of life after which a death counts as the first again."""


def restart_delay(deaths: int) -> float:
    """Seconds to wait before a model that died is started again: at once, then 0.2, 0.4, ... up to 60."""
    return 0.0 if deaths <= 1 else min(60.0, 0.1 * 2.0 ** min(deaths - 1, 16))


def is_field_fault(kinds: Iterable[Kind], policy: Policy) -> bool:
    """Whether so much of the field failed one call that the game is at fault, and nobody gets a strike."""
    counted = [kind for kind in kinds if kind != "none"]
    failed = sum(kind != "success" for kind in counted)
    return len(counted) >= max(1, policy.field_fault_min) and failed >= policy.field_fault_share * len(counted)
