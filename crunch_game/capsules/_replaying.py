"""A capsule played again: its submission loaded in a host, told what it was told, and asked once more."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import anyio

from crunch_game.capsules._capsule import LOAD, Capsule, Isolation, Manifest, Told
from crunch_game.capsules._limits import EXITS, ExitCalled, TellsExits, TimeUp, exits_are_errors, last_return, limited
from crunch_game.contract import Contract, Mismatch
from crunch_game.encoding import Undecodable, decode
from crunch_game.errors import CapsuleError, ContractError
from crunch_game.faults import describe_exception, is_foreign
from crunch_game.hosts import InlineHost
from crunch_game.hosts.base import Call, Host, Instance, LoadFailure, Reply, Setup
from crunch_game.hosts.process import ProcessHost
from crunch_game.hosts.process.diagnosis import last_lines
from crunch_game.loading import Loader
from crunch_game.models import Submission
from crunch_game.outcomes import Fault, Status
from crunch_game.policy import Trigger
from crunch_game.sandbox import Sandbox
from crunch_game.sources import resolve

_SETUP: Final = 60.0
"""Seconds that loading has at least."""
_MAX_LOG: Final = 64 << 20
"""Bytes that are kept of what the model prints."""


@dataclass(frozen=True)
class Here:
    """What came of the failing call when it was played again.

    Attributes:
        status: How it ended.
        fault: Why, and where; when it went well, that it did.
        elapsed: Seconds.
        stop: Where a debugger should stand: an exception's traceback, or the answer's return.
        notes: What went otherwise than in the game before, and what else a reader should know.
    """

    status: Status
    fault: Fault
    elapsed: float
    stop: TracebackType | None = None
    notes: Sequence[str] = ()

    def reproduces(self, manifest: Manifest) -> bool:
        """Whether it is the failure of the game: the same status, and the same exception if it raised one."""
        same_error = self.status != Status.RAISED or self.fault.kind == manifest.fault.kind
        return self.status == manifest.status and same_error


def play(capsule: Capsule, source: Path | str, folder: Path, imports: Path | None = None, *, apart: bool) -> Here:
    """Play a capsule.

    Args:
        capsule: The capsule.
        source: The submission: its copy, or what "module:attr" names.
        folder: Where the model works.
        imports: Where imports look first; None is nowhere else than usual.
        apart: Whether the model has a process of its own, which it may end, with the limits that it had in the game.
            What it prints then goes to stderr.

    Raises:
        CapsuleError: The base class cannot be imported here, or the submission cannot be loaded although in the
            game it could.
        ContractError: No other process can import the base class.
    """
    _check_values(capsule)
    with _importable(Path.cwd(), imports):
        replay = _Replay(capsule, source, _contract(capsule.manifest), _loader(capsule), inline=not apart)
        if not apart:
            with chdir(folder), exits_are_errors():
                return anyio.run(replay.play, InlineHost(on_raise=replay.note_raised))
        with tempfile.TemporaryDirectory(prefix="crunch_game-logs-") as logs:
            try:
                return anyio.run(replay.play, _process_host(capsule.manifest.isolation, logs))
            finally:
                _print_what_it_printed(Path(logs))


def _process_host(isolation: Isolation | None, logs: str) -> ProcessHost:
    """A host like the game's, as far as this machine has what it takes."""
    if isolation is None:
        return ProcessHost(logs=logs, log_limit=_MAX_LOG, sandbox=None)
    return ProcessHost(
        preload="auto" if isolation.preload is None else isolation.preload,
        env={name: os.environ[name] for name in isolation.env if name in os.environ},
        logs=logs,
        log_limit=_MAX_LOG,
        answer_limit=isolation.answer_limit,
        sandbox=None if isolation.sandbox is None else _sandbox(isolation.sandbox),
    )


def _sandbox(given: Mapping[str, Any]) -> Sandbox:
    """The game's, without the paths that are not here."""
    known = {field.name: given[field.name] for field in fields(Sandbox) if field.name in given}
    return Sandbox(
        **known | {name: [path for path in known[name] if Path(path).exists()] for name in ("read", "write")}
    )


def _print_what_it_printed(logs: Path) -> None:
    for log in sorted(logs.glob("*.out.log")):
        sys.stderr.write(log.read_text(errors="replace"))
    for log in sorted(logs.glob("*.err.log")):
        for line in (last_lines(log.read_bytes(), _MAX_LOG, _MAX_LOG) or "").splitlines():
            if not line.startswith(EXITS):
                print(line, file=sys.stderr)


class _Replay:
    """Plays one capsule once, and watches the host: but whatever matters is said by the replies."""

    def __init__(
        self, capsule: Capsule, source: Path | str, contract: Contract, loader: Loader, *, inline: bool
    ) -> None:
        self._manifest, self._values = capsule.manifest, capsule.values
        args, kwargs = decode(capsule.values.init)
        self._setup = Setup(contract, loader if inline else TellsExits(loader), args, kwargs)
        self._submission = Submission(capsule.manifest.model_id, source, capsule.manifest.deployment_id)
        self._inline = inline
        self._raised: BaseException | None = None
        self._notes: list[str] = []
        # Those who are late should have the time to show how late they are.
        self._patience = max(1.0, min(10 * capsule.manifest.budget, capsule.manifest.budget + 30.0))

    def note_raised(self, error: BaseException) -> None:
        """What the model raised in this process."""
        self._raised = error

    def happened(self, instance: Instance, trigger: Trigger, fault: Fault | None) -> None:
        """As Watcher's."""

    def loop_blocked(self, seconds: float) -> None:
        """As Watcher's."""

    async def play(self, host: Host) -> Here:
        """Load the submission, and make the calls."""
        try:
            await host.open(self._setup, [self._submission], self)
            return await self._load_and_ask(host)
        finally:
            with anyio.CancelScope(shield=True):
                await host.close()

    async def _load_and_ask(self, host: Host) -> Here:
        began, seconds = time.perf_counter(), max(_SETUP, self._patience)
        try:
            with self._limited(seconds):
                loaded = await host.start(self._submission, seconds)
        except LoadFailure as failure:
            status = {"timeout": Status.TIMEOUT, "died": Status.DIED}.get(failure.fault.kind, Status.RAISED)
            here = self._failed(status, failure.fault, time.perf_counter() - began)
            if self._manifest.method == LOAD:
                return here
            raise CapsuleError(
                f"{self._manifest.model_id} cannot be loaded here, although in the game it could: {here.fault.message}"
            ) from None
        if self._manifest.method == LOAD:
            return Here(Status.OK, Fault("ok", "it is loaded"), time.perf_counter() - began)
        for number, told in enumerate(self._values.calls, 1):
            reply = await self._ask(host, loaded.instance, told)
            if _STATUS.get(reply.trigger) is Status.DIED and reply.fault is not None:
                return self._failed(Status.DIED, reply.fault, reply.elapsed)
            self._compare(reply, told, f"call {number} of the {len(self._values.calls)} before, {told.method}")
        failing = self._values.failing
        assert failing is not None
        with last_return(failing.method, is_foreign) as returned:
            reply = await self._ask(host, loaded.instance, failing)
        return self._judged(reply, failing.method, returned[0] if returned else None)

    async def _ask(self, host: Host, instance: Instance, told: Told) -> Reply:
        args, kwargs = decode(told.args)
        call = Call(self._setup.contract.method(told.method), args, kwargs, self._patience)
        self._raised = None
        with self._limited(self._patience):
            [[(_, reply)]] = [batch async for batch in host.ask(call, {instance: decode(told.extra)}, each=False)]
        return reply

    def _limited(self, seconds: float) -> AbstractContextManager[None]:
        """Nobody but a signal ends what never ends in this process."""
        return limited(seconds) if self._inline else nullcontext()

    def _compare(self, reply: Reply, told: Told, before: str) -> None:
        """One of the calls before: note what went otherwise than in the game."""
        message = reply.fault.message if reply.fault else ""
        if reply.trigger is Trigger.DEADLINE or isinstance(self._raised, TimeUp):
            self._notes.append(f"{before}, had to be interrupted")
        elif reply.trigger is Trigger.RAISED and told.status == Status.OK:
            self._notes.append(f"{before}, succeeded in the game; here it raised {message}")
        elif reply.trigger is Trigger.ANSWERED and told.status == Status.RAISED:
            self._notes.append(f"{before}, raised in the game; here it did not")

    def _judged(self, reply: Reply, method: str, stop: TracebackType | None) -> Here:
        """What the reply to the failing call comes to; the traceback leads to where it was returned."""
        budget, elapsed = self._manifest.budget, reply.elapsed
        status, fault = _STATUS.get(reply.trigger, Status.OK), reply.fault
        if fault is not None and status not in (Status.INVALID, Status.UNSUPPORTED):
            return self._failed(status, fault, elapsed)
        if fault is None:
            try:
                self._setup.contract.method(method).read(reply.value)
            except Mismatch as error:
                message = f"the answer does not fit {method}'s contract: {error}"
                status, fault = Status.INVALID, Fault("invalid", message)
        if fault is None and elapsed > budget:
            message = f"it answered after {elapsed:.3g} s; the budget is {budget:g} s"
            status, fault = Status.TIMEOUT, Fault("timeout", message)
        if fault is not None:
            lines = traceback.format_tb(stop) if stop is not None else []
            shown = "".join(["Traceback (most recent call last):\n", *lines, str(status)]) if lines else None
            return Here(status, replace(fault, traceback=shown), elapsed, stop, self._notes)
        if method in self._manifest.returns and self._manifest.returns[method] is None:
            self._notes.append(f"the game checks what {method} answers against a type that no capsule can name")
        return Here(Status.OK, Fault("ok", f"it answered within {elapsed:.3g} s"), elapsed, notes=self._notes)

    def _failed(self, status: Status, fault: Fault, elapsed: float) -> Here:
        """How it failed, in the words of who plays it again."""
        raised, budget = self._raised, f"the budget is {self._manifest.budget:g} s"
        if isinstance(raised, TimeUp):
            message = f"it was interrupted after {elapsed:.3g} s; {budget}"
            status, fault = Status.TIMEOUT, replace(fault, kind="timeout", message=message)
        elif isinstance(raised, ExitCalled):
            message = f"it ended its process: exit code {raised}"
            status, fault = Status.DIED, replace(fault, kind="died", message=message)
        elif status is Status.TIMEOUT:
            fault = replace(fault, message=f"{fault.message}; {budget}")
        elif status is Status.RAISED and self._manifest.status == Status.TIMEOUT and elapsed > self._manifest.budget:
            message = f"it raised after {elapsed:.3g} s; {budget}: {fault.message}"
            status, fault = Status.TIMEOUT, replace(fault, kind="timeout", message=message)
        return Here(status, fault, elapsed, raised.__traceback__ if raised is not None else None, self._notes)


_STATUS: Final = {
    Trigger.RAISED: Status.RAISED,
    Trigger.INVALID: Status.INVALID,
    Trigger.UNSUPPORTED: Status.UNSUPPORTED,
    Trigger.DEADLINE: Status.TIMEOUT,
    Trigger.DIED: Status.DIED,
    Trigger.DROPPED: Status.DIED,  # it ended between two calls
}


@contextmanager
def _importable(*folders: Path | None) -> Iterator[None]:
    """Let imports look here first, the last one before the others."""
    kept = sys.path[:]
    for folder in folders:
        if folder is not None:
            sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = kept


def _check_values(capsule: Capsule) -> None:
    """Find out that all values can be read before anything is run."""
    values = capsule.values
    calls = [*values.calls, values.failing] if values.failing else values.calls
    try:
        decode(values.loader)
        for args, extra in [(told.args, told.extra) for told in calls] + [(values.init, None)]:
            positional, named = decode(args)
            _ = [*positional], {**named, **((decode(extra) if extra else None) or {})}
    except (Undecodable, TypeError, ValueError, LookupError) as error:
        raise CapsuleError(f"{capsule.path} holds values that cannot be read here: {error}") from None


def _contract(manifest: Manifest) -> Contract:
    try:
        base = resolve(manifest.contract)
        # A type that has no name is checked against `object`, which everything is.
        returns = {name: resolve(type_ or "builtins:object") for name, type_ in manifest.returns.items()}
    except Exception as error:
        raise CapsuleError(
            f"the game's base class {manifest.contract} cannot be imported here: {describe_exception(error)}; install "
            "the game's package, or run this in the folder that it is imported from"
        ) from error
    try:
        contract = Contract(base, returns=returns, allow_inf_nan=manifest.allow_inf_nan)
    except ContractError as error:
        raise CapsuleError(f"the game's base class here is another: {error}") from None
    if manifest.method != LOAD and manifest.method not in contract.methods:
        raise CapsuleError(f"the game's base class here is another: {contract.name} has no method {manifest.method!r}")
    return contract


def _loader(capsule: Capsule) -> Loader:
    reference = capsule.manifest.loader
    try:
        loader: Loader = resolve(reference)(**decode(capsule.values.loader))
    except Exception as error:
        raise CapsuleError(f"the game's loader {reference} cannot be made here: {describe_exception(error)}") from error
    return loader
