"""What a host is: the place where models run, and where a whole round is asked at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from crunch_game.contract import Contract, Method
from crunch_game.loading import AutoLoader, Loader
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Event

__all__ = ["Call", "Host", "Instance", "LoadFailure", "Loaded", "Reply", "Setup", "Watcher"]


@dataclass(frozen=True)
class Setup:
    """How instances are made: the same for every model of a runner.

    `lenient` is for callers whose base class may be another version than the one here: a model is then asked whatever
    method it has, and does not get the keyword arguments that it does not take.
    """

    contract: Contract
    loader: Loader = field(default_factory=AutoLoader)
    init_args: Sequence[Any] = ()
    init_kwargs: Mapping[str, Any] = field(default_factory=dict)
    lenient: bool = False

    def absence(self, method: str, message: str) -> tuple[Event, Fault]:
        """What a model did that says it has no such method: it failed if it cannot have been loaded without."""
        if self.lenient or method not in self.contract.required:
            return Event.UNSUPPORTED, Fault("unsupported", message)
        which = f"which {self.contract.name} requires and which it had when it was loaded"
        return Event.INVALID, Fault("invalid", f"it says that it has no method {method}, {which}")


@dataclass(frozen=True, slots=True)
class Call:
    """One method, asked of every model at once.

    Attributes:
        method: The contract's method.
        args: Positional arguments, checked.
        kwargs: Keyword arguments, checked.
        timeout: Seconds that every model has.
    """

    method: Method
    args: list[Any]
    kwargs: dict[str, Any]
    timeout: float


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What one instance did with a call, before anyone checked its answer.

    Attributes:
        event: ANSWERED, INVALID, RAISED, UNSUPPORTED, DEADLINE, DIED, DROPPED, UNREACHED or LOST.
        value: The answer when ANSWERED.
        fault: Why there is none, else.
        elapsed: Seconds since the call began.
    """

    event: Event
    value: Any
    fault: Fault | None
    elapsed: float


class Instance:
    """One loaded model in its host. Hosts subclass it; it is hashed by identity."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission


@dataclass(frozen=True, slots=True)
class Loaded:
    """An instance, and what its participant should know.

    It is fresh unless it has played before, in a node that outlives its coordinators: then it has its history.
    """

    instance: Instance
    warnings: tuple[str, ...] = ()
    fresh: bool = True


class LoadFailure(Exception):
    """A submission did not become an instance."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


class Watcher(Protocol):
    """Who is told what happens to instances outside a call; always on the event loop."""

    def happened(self, instance: Instance, event: Event, fault: Fault | None) -> None:
        """LATE: a late answer came in; DIED: the process ended; LOST, FOUND: the connection; FORGOTTEN: its node."""
        ...

    def loop_blocked(self, seconds: float) -> None:
        """The event loop was that late to take a result."""
        ...


class Host(Protocol):
    """Where models run. Implement this to run them elsewhere."""

    async def open(self, setup: Setup, submissions: Sequence[Submission], watcher: Watcher) -> None:
        """Make ready for instances; the submissions are those known so far."""
        ...

    async def start(self, submission: Submission, timeout: float) -> Loaded:
        """Load one model, in at most `timeout` seconds.

        Raises:
            LoadFailure: It could not be loaded; nothing of it is left.
        """
        ...

    def ask(
        self, call: Call, asked: Mapping[Instance, Mapping[str, Any] | None], *, each: bool
    ) -> AsyncGenerator[Sequence[tuple[Instance, Reply]]]:
        """Ask every instance at once; its further keyword arguments are the values of `asked`.

        Gives replies in batches, one for every instance by the deadline; as they come when `each` is true.

        Raises:
            ContractError: The arguments cannot be sent.
        """
        ...

    async def stop(self, instance: Instance) -> None:
        """End an instance; what it is busy with is dropped."""
        ...

    async def close(self) -> None:
        """End every instance and everything that the host started."""
        ...
