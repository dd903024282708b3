"""Where the models of nodes run: one process host for all of them, so that libraries are imported once."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

import anyio

from crunch_game.contract import Contract, Method
from crunch_game.hosts.base import Call, Instance, Loaded, Reply, Setup
from crunch_game.hosts.process import MAX_FRAME, ProcessHost
from crunch_game.loading import AutoLoader, Loader
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import Trigger


class Workplace:
    """Loads models of one base class, each in a process of its own, and asks one at a time. On asyncio.

    Args:
        contract: The base class.
        loader: How a submission becomes a model.
        host: The process host; it is opened and closed here.
        submissions: Those known so far: the libraries that they import are imported once.

    Raises:
        ContractError: (on entering) The base class cannot be imported by other processes.
    """

    def __init__(
        self,
        contract: type | str | Contract,
        *,
        loader: Loader | None = None,
        host: ProcessHost | None = None,
        submissions: Sequence[Submission] = (),
    ) -> None:
        self.contract = Contract.of(contract)
        self._setup = Setup(self.contract, loader or AutoLoader(), lenient=True)
        self._host = host or ProcessHost(answer_limit=MAX_FRAME)
        self._submissions = submissions
        self._ends: dict[Instance, Callable[[Fault], None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        try:
            await self._host.open(self._setup, self._submissions, self)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        with anyio.CancelScope(shield=True):  # whoever is cancelled must not leave processes behind
            await asyncio.gather(*self._tasks)
            await self._host.close()

    def offers(self, class_name: str) -> bool:
        """Whether the dotted name is one of the base class. Imports nothing: the name comes from a client."""
        module, _, path = class_name.rpartition(".")
        return class_name == self.contract.name or getattr(sys.modules.get(module), path, None) is self.contract.base

    async def start(
        self,
        submission: Submission,
        timeout: float,
        init: tuple[list[Any], dict[str, Any]],
        on_end: Callable[[Fault], None],
    ) -> Loaded:
        """Load a model with these arguments for its constructor or factory, and call `on_end` when it dies.

        Raises:
            LoadFailure: It could not be loaded.
            ContractError: The arguments cannot be sent.
        """
        loaded = await self._host.start(submission, timeout, init)
        self._ends[loaded.instance] = on_end
        return loaded

    async def ask(
        self, instance: Instance, method: str, args: list[Any], kwargs: dict[str, Any], timeout: float
    ) -> Reply:
        """Ask one model for one method.

        Raises:
            ContractError: The arguments cannot be sent.
        """
        # The client may ask for a method that our base class lacks, since the model may have it.
        promised = self.contract.methods.get(method) or Method(self.contract.name, method, _anything, Any, True)
        call = Call(promised, args, kwargs, timeout)
        async with aclosing(self._host.ask(call, {instance: None}, each=False)) as batches:
            [(_, reply)] = [replied async for batch in batches for replied in batch]
        return reply

    async def stop(self, instance: Instance) -> None:
        """End a model."""
        self._ends.pop(instance, None)
        await self._host.stop(instance)

    def happened(self, instance: Instance, trigger: Trigger, fault: Fault | None) -> None:
        """End an instance that died outside a call, as a `Watcher` of the host."""
        if trigger is Trigger.DIED and instance in self._ends:
            self._ends.pop(instance)(fault or Fault("died", "its process ended"))
            task = asyncio.create_task(self._host.stop(instance))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def loop_blocked(self, seconds: float) -> None:
        """Ignore it: a node has no budgets."""


def _anything(self: Any, *args: Any, **kwargs: Any) -> Any: ...
