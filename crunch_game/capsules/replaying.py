"""A capsule played again in this process: its submission loaded, told what it was told, and asked once more."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TextIO

import msgspec

from crunch_game.capsules.capsule import LOAD, Capsule, Manifest, Told
from crunch_game.capsules.limits import Exited, TimeUp, exits_are_errors, last_return, limited, patience
from crunch_game.capsules.stacks import Stack, returned_at, stacks_of
from crunch_game.checking import Mismatch
from crunch_game.contract import Contract
from crunch_game.errors import CapsuleError, ContractError, LoadError
from crunch_game.faults import describe_exception
from crunch_game.hosts.base import Setup
from crunch_game.hosts.calling import Callee
from crunch_game.hosts.wire import Undecodable, Unsendable, decode, encode
from crunch_game.importing import import_code
from crunch_game.loading import Loader, make_model
from crunch_game.outcomes import Status
from crunch_game.sources import resolve

__all__ = ["Here", "Played", "Replay"]


_SETUP: Final = 60.0
"""Seconds that loading has at least."""


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the failing call when it was played again.

    Attributes:
        status: How it ended.
        kind: As Fault's.
        message: The sentence for people.
        stacks: Where it failed: the exception, then what it came from.
        elapsed: Seconds.
        notes: What went otherwise than in the game before, and what else a reader should know.
    """

    status: Status
    kind: str
    message: str
    stacks: list[Stack] = []
    elapsed: float = 0.0
    notes: list[str] = []

    def reproduces(self, manifest: Manifest) -> bool:
        """Whether it is the failure of the game: the same status, and the same exception if it raised one."""
        return self.status == manifest.status and (self.status != Status.RAISED or self.kind == manifest.fault.kind)


@dataclass(frozen=True)
class Played:
    """What came of it, and where a debugger should stand: an exception's traceback, or the answer's return."""

    here: Here
    traceback: TracebackType | None


@dataclass
class Replay:
    """Plays one capsule, once.

    Args:
        capsule: The capsule.
        source: The submission: its copy, or what "module:attr" names.
        folder: Where the model works.
        imports: Where imports look first; None is nowhere else than usual.
        dies: Whether the model may end this process.
        dump: Where it is told what the process did when it had to be ended.
    """

    capsule: Capsule
    source: Path | str
    folder: Path
    imports: Path | None = None
    dies: bool = False
    dump: TextIO | None = None
    _notes: list[str] = field(default_factory=list)

    def play(self) -> Played:
        """Play it.

        Raises:
            CapsuleError: The base class cannot be imported here, or the submission cannot be loaded although in the
                game it could.
        """
        manifest = self.capsule.manifest
        _check_values(self.capsule)
        with ExitStack() as stack:
            stack.enter_context(_importable(Path.cwd(), self.imports))
            contract, loader = _contract(manifest), _loader(self.capsule)
            stack.enter_context(chdir(self.folder))
            if not self.dies:
                stack.enter_context(exits_are_errors())
            try:
                with limited(max(_SETUP, patience(manifest.budget)), self.dump):
                    began = time.perf_counter()
                    callee = stack.enter_context(self._loaded(contract, loader))
            except (LoadError, TimeUp, Exited) as error:
                return self._not_loaded(error, time.perf_counter() - began)
            if manifest.method == LOAD:
                elapsed = time.perf_counter() - began
                return Played(Here(status=Status.OK, kind="ok", message="it is loaded", elapsed=elapsed), None)
            for number, told in enumerate(self.capsule.values.calls, 1):
                self._tell(callee, told, number)
            assert self.capsule.values.failing is not None
            return self._ask(callee, contract, self.capsule.values.failing)

    @contextmanager
    def _loaded(self, contract: Contract, loader: Loader) -> Iterator[_Model]:
        with warnings.catch_warnings():
            code = import_code(self.source)
            with code.scope:
                args, kwargs = decode(self.capsule.values.init)
                model = make_model(code, contract, loader, args, kwargs)
                yield _Model(model, contract)

    def _not_loaded(self, error: BaseException, elapsed: float) -> Played:
        manifest = self.capsule.manifest
        cause = error.__cause__ or error
        here = self._failed(cause, elapsed)
        message = str(error) if here.status == Status.RAISED else here.message
        if manifest.method != LOAD:
            raise CapsuleError(f"{manifest.model_id} cannot be loaded here, although in the game it could: {message}")
        return Played(msgspec.structs.replace(here, message=message), cause.__traceback__)

    def _tell(self, callee: _Model, told: Told, number: int) -> None:
        """One of the calls before; what went otherwise than in the game is noted."""
        before = f"call {number} of the {len(self.capsule.values.calls)} before, {told.method}"
        try:
            with limited(patience(self.capsule.manifest.budget), self.dump):
                callee.call(told)
        except TimeUp:
            self._notes.append(f"{before}, had to be interrupted")
        except KeyboardInterrupt:
            if told.status != Status.RAISED:
                raise
        except BaseException as error:  # noqa: BLE001 - what a model raises is what came of it
            if told.status == Status.OK:
                self._notes.append(f"{before}, succeeded in the game; here it raised {describe_exception(error)}")
        else:
            if told.status == Status.RAISED:
                self._notes.append(f"{before}, raised in the game; here it did not")

    def _ask(self, callee: _Model, contract: Contract, told: Told) -> Played:
        manifest, value = self.capsule.manifest, None
        began = time.perf_counter()
        try:
            with limited(patience(manifest.budget), self.dump), last_return(callee.function(told)) as returned:
                value = callee.call(told)
        except KeyboardInterrupt as error:
            if manifest.fault.kind != "KeyboardInterrupt":
                raise
            return Played(self._failed(error, time.perf_counter() - began), error.__traceback__)
        except BaseException as error:  # noqa: BLE001 - what a model raises is what came of it
            if callee.lacks(error):
                _, fault = Setup(contract).absence(told.method, str(error))
                return Played(self._here(Status(fault.kind), fault.kind, fault.message), None)
            return Played(self._failed(error, time.perf_counter() - began), error.__traceback__)
        elapsed = time.perf_counter() - began
        here = self._answered(contract, told, value, elapsed)
        if here.status in (Status.INVALID, Status.TIMEOUT) and returned.frame is not None:
            here = msgspec.structs.replace(here, stacks=[returned_at(returned.frame, str(here.status))])
        return Played(here, returned.traceback())

    def _answered(self, contract: Contract, told: Told, value: Any, elapsed: float) -> Here:
        manifest = self.capsule.manifest
        try:
            contract.method(told.method).read(decode(encode(value)))
        except (Unsendable, Undecodable) as error:
            return self._here(Status.INVALID, "invalid", f"the answer cannot be sent: {error}", elapsed)
        except Mismatch as error:
            message = f"the answer does not fit {told.method}'s contract: {error}"
            return self._here(Status.INVALID, "invalid", message, elapsed)
        if elapsed > manifest.budget:
            message = f"it answered after {elapsed:.3g} s; the budget is {manifest.budget:g} s"
            return self._here(Status.TIMEOUT, "timeout", message, elapsed)
        if told.method in manifest.returns and manifest.returns[told.method] is None:
            self._notes.append(f"the game checks what {told.method} answers against a type that no capsule can name")
        return self._here(Status.OK, "ok", f"it answered within {elapsed:.3g} s", elapsed)

    def _failed(self, error: BaseException, elapsed: float) -> Here:
        budget = self.capsule.manifest.budget
        if isinstance(error, TimeUp):
            message = f"it was interrupted after {elapsed:.3g} s; the budget is {budget:g} s"
            stacks = [msgspec.structs.replace(stacks_of(error)[0], kind="interrupted", text="")]
            return self._here(Status.TIMEOUT, "timeout", message, elapsed, stacks)
        if isinstance(error, Exited):
            message = f"it ended its process: exit code {error}"
            stacks = [msgspec.structs.replace(stacks_of(error)[0], kind="exit code")]
            return self._here(Status.DIED, "died", message, elapsed, stacks)
        if self.capsule.manifest.status == Status.TIMEOUT and elapsed > budget:
            message = f"it raised after {elapsed:.3g} s; the budget is {budget:g} s: {describe_exception(error)}"
            return self._here(Status.TIMEOUT, "timeout", message, elapsed, stacks_of(error))
        return self._here(Status.RAISED, type(error).__name__, describe_exception(error), elapsed, stacks_of(error))

    def _here(
        self, status: Status, kind: str, message: str, elapsed: float = 0.0, stacks: list[Stack] | None = None
    ) -> Here:
        return Here(status=status, kind=kind, message=message, elapsed=elapsed, stacks=stacks or [], notes=self._notes)


class _Model:
    """The model, called as the hosts call it."""

    def __init__(self, model: Any, contract: Contract) -> None:
        self._model = model
        self._callee = Callee(model, contract)
        self.lacks = self._callee.lacks

    def function(self, told: Told) -> Any:
        """The model's own method."""
        return getattr(self._model, told.method, None)

    def call(self, told: Told) -> Any:
        """What it answers to the call."""
        args, kwargs = decode(told.args)
        kwargs.update(decode(told.extra) or {})
        return self._callee.call(told.method, args, kwargs)


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


def _all(capsule: Capsule) -> list[Told]:
    failing = capsule.values.failing
    return capsule.values.calls + ([failing] if failing else [])


def _check_values(capsule: Capsule) -> None:
    """Find out that all values can be read before anything is run."""
    values = capsule.values
    try:
        decode(values.loader)
        for args, extra in [(told.args, told.extra) for told in _all(capsule)] + [(values.init, None)]:
            positional, named = decode(args)
            _ = [*positional], {**named, **((decode(extra) if extra else None) or {})}
    except (Undecodable, TypeError, ValueError, LookupError) as error:
        raise CapsuleError(f"{capsule.path} holds values that cannot be read here: {error}") from None


def _contract(manifest: Manifest) -> Contract:
    try:
        base = resolve(manifest.contract)
        returns = {name: _returned(reference) for name, reference in manifest.returns.items()}
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


def _returned(reference: str | None) -> Any:
    """The return type that the game gave; `object`, which everything is, for one that has no name."""
    return object if reference is None else resolve(reference)


def _loader(capsule: Capsule) -> Loader:
    reference = capsule.manifest.loader
    try:
        loader: Loader = resolve(reference)(**decode(capsule.values.loader))
    except Exception as error:
        raise CapsuleError(f"the game's loader {reference} cannot be made here: {describe_exception(error)}") from error
    return loader
