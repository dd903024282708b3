"""Host, the protocol of the places where models run, and what passes between a host and the runner."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import msgspec

from crunch_game.contract import Contract, Method
from crunch_game.loading import AutoLoader, Loader
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Trigger

__all__ = [
    "Asked",
    "BatchHost",
    "Call",
    "Host",
    "Instance",
    "LoadFailure",
    "Loaded",
    "Reply",
    "ReusableHost",
    "Setup",
    "Telling",
    "TellingHost",
    "ToldSoFar",
    "Watcher",
]


@dataclass(frozen=True)
class Setup:
    """How instances are made: the same for every model of a runner.

    `lenient` is for callers whose base class may be another version than ours. A model may then be asked for any method
    that it has, and does not get keyword arguments that it does not take.
    """

    contract: Contract
    loader: Loader = field(default_factory=AutoLoader)
    init_args: Sequence[Any] = ()
    init_kwargs: Mapping[str, Any] = field(default_factory=dict)
    lenient: bool = False

    def absence(self, method: str, message: str) -> tuple[Trigger, Fault]:
        """Judge a model that says it lacks a method. One that the contract requires it had when it was loaded."""
        if self.lenient or method not in self.contract.required:
            return Trigger.UNSUPPORTED, Fault("unsupported", message)
        which = f"which {self.contract.name} requires and which it had when it was loaded"
        return Trigger.INVALID, Fault("invalid", f"it says that it has no method {method}, {which}")


@dataclass(frozen=True, slots=True)
class Call:
    """One method, asked of every model at once.

    Attributes:
        method: The contract's method.
        args: Positional arguments, checked.
        kwargs: Keyword arguments, checked.
        timeout: Seconds that every model has.
        key: What its strikes are counted under, for people too; None is the method's name.
        check: Called by the runner with each answer that fits the contract; a ValueError makes it INVALID.
    """

    method: Method
    args: list[Any]
    kwargs: dict[str, Any]
    timeout: float
    key: str | None = None
    check: Callable[[Any], object] | None = None

    @property
    def counted_as(self) -> str:
        """What its strikes are counted under."""
        return self.key or self.method.name


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What came of one call of one instance. The answer is not checked yet.

    Attributes:
        trigger: ANSWERED, INVALID, RAISED, UNSUPPORTED, DEADLINE, DIED, DROPPED, UNREACHED or LOST.
        value: The answer when ANSWERED.
        fault: Why there is no answer; None when ANSWERED.
        elapsed: Seconds from the moment when the call's budget began to the reply; 0 if it did not begin.
    """

    trigger: Trigger
    value: Any
    fault: Fault | None
    elapsed: float


class Instance:
    """One loaded model. Hosts subclass this; it is hashed by identity."""

    def __init__(self, submission: Submission) -> None:
        self.submission = submission


@dataclass(frozen=True, slots=True)
class Loaded:
    """An instance, and the warnings of loading it.

    It is not fresh if it has played before: a model node outlives its coordinators, and its instance has its history.
    """

    instance: Instance
    warnings: tuple[str, ...] = ()
    fresh: bool = True


class LoadFailure(Exception):
    """A submission could not be loaded."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


Asked = Mapping[Instance, Mapping[str, Any] | None]
"""Who is asked, each with its further keyword arguments."""


class Watcher(Protocol):
    """Receives what happens to instances outside a call; always called on the event loop."""

    def happened(self, instance: Instance, trigger: Trigger, fault: Fault | None) -> None:
        """Take a trigger: LATE (a late answer came), DIED (the process ended), LOST, FOUND, FORGOTTEN (of nodes)."""

    def loop_blocked(self, seconds: float) -> None:
        """Take how many seconds late the event loop took a result."""


class Host(Protocol):
    """Where models run. Implement this to run them somewhere else."""

    async def open(self, setup: Setup, submissions: Sequence[Submission], watcher: Watcher) -> None:
        """Prepare for instances. `submissions` are those known so far."""

    async def start(self, submission: Submission, timeout: float) -> Loaded:
        """Load one model, in at most `timeout` seconds.

        Raises:
            LoadFailure: It could not be loaded. Nothing of it is left running.
        """

    def ask(self, call: Call, asked: Asked, *, each: bool) -> AsyncGenerator[Sequence[tuple[Instance, Reply]]]:
        """Ask every instance at once.

        Yields replies in batches, one reply for every instance by the deadline; with `each`, as soon as they come. An
        instance that is still at an earlier call of ours, within that one's budget, is asked after it: then the budget
        begins.

        Raises:
            ContractError: The arguments cannot be sent.
        """

    async def stop(self, instance: Instance) -> None:
        """End an instance, and drop what it is busy with."""

    async def close(self) -> None:
        """End every instance and everything that the host started."""


@runtime_checkable
class BatchHost(Host, Protocol):
    """A host to which several calls at once are cheaper than one `ask` for each."""

    def ask_together(
        self, asks: Sequence[tuple[Call, Asked]]
    ) -> AsyncGenerator[tuple[int, Sequence[tuple[Instance, Reply]]]]:
        """Ask the same instances several calls, through which each works in their order and at its own pace.

        Yields replies in batches, each with the number of its call. A call's budget begins when the one before it is
        over; so all is over after the sum of the budgets.

        Raises:
            ContractError: The arguments of one cannot be sent. None was asked.
        """


@dataclass(frozen=True, eq=False)
class Telling:
    """Calls of a method that need not return anything, to be made of one model or of many, in their order.

    Attributes:
        calls: The calls; all with one budget.
        written: What the host that will make them has made of all of them, once.
    """

    calls: Sequence[Call]
    written: Any


class ToldSoFar(msgspec.Struct, frozen=True, gc=False):
    """How far an instance has got with a Telling.

    Attributes:
        done: How many of its calls are over; None if it did not say.
        reply: What came of the last of them, unless nothing was returned; or why the instance did not answer.
        is_free: Whether it is free for the next call, though that one took longer than its budget.
    """

    done: int | None
    reply: Reply | None
    is_free: bool = False


@runtime_checkable
class TellingHost(Host, Protocol):
    """A host to which many calls that return nothing are cheaper together: a fresh instance is told a whole history."""

    def telling(self, calls: Sequence[Call]) -> Telling:
        """Write the calls down, once for all instances.

        Raises:
            ContractError: The arguments of one cannot be sent.
        """
        ...

    async def tell(self, telling: Telling, instance: Instance) -> ToldSoFar:
        """Have the instance make the calls, or go on with those that it has left, for a moment.

        It stops at a call that takes longer than its budget, fails, or returns something: so it is known of each.
        """
        ...


@runtime_checkable
class ReusableHost(Host, Protocol):
    """A host that several runners may use at once: each but the first has one of its own, made by `fresh`.

    A host without this is refused to the second. One runner after the other may use any host, so `open` must work after
    `close`.
    """

    def fresh(self) -> Host:
        """Return a host with the same arguments, which nobody has opened."""
