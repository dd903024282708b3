"""InlineHost: runs models in this process, for notebooks, tests and trusted models. It enforces nothing."""

from __future__ import annotations

import copy
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Self

import anyio.lowlevel
import anyio.to_thread

from crunch_game._importing import Code, Scope, import_code
from crunch_game._public import public
from crunch_game.encoding import Undecodable, Unsendable, decode, decode_answer, encode, sendable
from crunch_game.errors import LoadError
from crunch_game.faults import fault_of, own_frames
from crunch_game.hosts._calling import Callee
from crunch_game.hosts._folders import discard, fill
from crunch_game.hosts._globals import AuthorsGlobals, ModelsGlobals
from crunch_game.hosts._interrupting import Interrupted, ModelThread
from crunch_game.hosts.base import Asked, Call, Instance, Loaded, LoadFailure, Reply, Setup, Telling, ToldSoFar, Watcher
from crunch_game.loading import make_model
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import ANSWERED, Trigger
from crunch_game.sources import ClassSource, FolderSource, Source, absolute

_NOT_MAIN: Final = "signal only works in main thread"


_TURN_SECONDS: Final = 0.01
"""How long one model is told of a history before the event loop is everybody's again."""


class _Inline(Instance):
    def __init__(
        self, submission: Submission, callee: Callee, scope: Scope, own: ModelsGlobals, folder: Path | None
    ) -> None:
        super().__init__(submission)
        self.callee = callee
        self.scope = scope
        self.globals = own
        self.folder = folder
        self.told: tuple[Telling | None, int] = (None, 0)
        """What it was told last, and how far it got."""


@public
class InlineHost:
    """Runs models one after the other on the thread of the event loop.

    A model can hang or end the whole process, and all models share its memory. Arguments and answers are still copied,
    so that no model changes what the others or the game see. An answer over its budget becomes a TIMEOUT afterwards.

    A model computes what it would in a process of its own, to the last bit. While its code runs, it has for itself: the
    global generators of `random`, `numpy.random` and torch; numeric libraries with one thread; its working folder, in
    which each call begins (a class works in the author's); its import path; the root logger's handlers and level;
    signal handlers and context variables, with the decimal context and numpy's error handling; no running event loop,
    so that it may run its own. Afterwards the author's are back, and `sys.stdout`, `sys.stderr` and his alarm too. What
    a model logs without a handler of its own goes to the author's. While it runs, the author's other threads are in its
    folder too: they should open files by absolute paths.

    Not its own are `os.environ`, the filters of warnings, the locale, HOME and TMPDIR, what it sets in libraries
    (pandas' options), what a library has from a generator by name (`from random import random`), and threads of a
    numeric library that a call is the first to import. Without the main thread it can set no signal handlers. Where
    that matters, `host="process"` has it.

    SIGINT (Ctrl-C, or a notebook's stop button) reaches a model that does not come back, such as an endless loop: its
    call ends as a fault "interrupted". It cannot reach one that catches every exception, nor, before they return, calls
    into libraries that are not Python's.

    Args:
        clock: Counts seconds.
        on_raise: Called with what a model raises, before it becomes a fault; for debuggers.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.perf_counter,
        on_raise: Callable[[BaseException], None] = lambda error: None,
    ) -> None:
        self._clock = clock
        self._on_raise = on_raise
        self._thread = ModelThread()
        self._authors = AuthorsGlobals()
        self._folder: Path | None = None

    def fresh(self) -> Self:
        """Return a host with the same arguments, which nobody has opened."""
        twin = copy.copy(self)
        twin._thread = ModelThread()
        twin._authors = AuthorsGlobals()
        twin._folder = None
        return twin

    async def open(self, setup: Setup, submissions: Sequence[Submission], watcher: Watcher) -> None:
        """Keep what `start` needs."""
        self._setup = setup
        self._watcher = watcher

    async def start(self, submission: Submission, timeout: float) -> Loaded:
        """Load the model. `timeout` is not enforced."""
        setup = self._setup
        home, modules = self._home(submission.source), _modules_of(submission.source)
        own, source = ModelsGlobals(home, modules), absolute(submission.source)
        with warnings.catch_warnings(record=True) as caught, ExitStack() as unless_loaded:
            warnings.simplefilter("always")
            if home is not None:
                unless_loaded.callback(discard, home)
            try:
                # Copied, as for models in processes: they must not share what they are given.
                args, kwargs = decode(encode((list(setup.init_args), dict(setup.init_kwargs))))
                if home is not None and isinstance(source, FolderSource) and source.place:
                    fill(str(home), str(source.place), linked=False)
                with self._thread:
                    with self._authors:
                        code = own.run(self._authors, self._thread.call, import_code, source)
                    with self._authors:  # anew, with the libraries that the code has imported
                        model = own.run(self._authors, self._make, code, args, kwargs)
                        own.stay()
            except Interrupted as error:
                raise LoadFailure(_interrupted(error, "loading it was interrupted")) from None
            except LoadError as error:
                cause = error.__cause__
                self._on_raise(cause or error)
                frames = own_frames(cause) if cause else None
                message = str(error) + _elsewhere(cause)
                raise LoadFailure(Fault(type(cause or error).__name__, message, frames)) from None
            except Exception as error:
                self._on_raise(error)
                raise LoadFailure(fault_of(error)) from error
            unless_loaded.pop_all()
        told = tuple(str(warning.message) for warning in caught)
        return Loaded(_Inline(submission, Callee(model, setup.contract), code.scope, own, home), told)

    def _home(self, source: Source) -> Path | None:
        """A new folder for a model to work in; None for a class, which is from here, and so are the files it reads."""
        if isinstance(source, ClassSource):
            return None
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="crunch_game-"))
        return Path(tempfile.mkdtemp(dir=self._folder))

    def _make(self, code: Code, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        with code.scope:
            return self._thread.call(make_model, code, self._setup.contract, self._setup.loader, args, kwargs)

    async def ask(self, call: Call, asked: Asked, *, each: bool) -> AsyncGenerator[Sequence[tuple[Instance, Reply]]]:
        """Call one model after the other."""
        async with aclosing(self._ask([(call, asked)], each=each)) as batches:
            async for _, replies in batches:
                yield replies

    def ask_together(
        self, asks: Sequence[tuple[Call, Asked]]
    ) -> AsyncGenerator[tuple[int, Sequence[tuple[Instance, Reply]]]]:
        """Make one call after the other."""
        return self._ask(asks, each=False)

    async def _ask(
        self, asks: Sequence[tuple[Call, Asked]], *, each: bool
    ) -> AsyncGenerator[tuple[int, Sequence[tuple[Instance, Reply]]]]:
        encoded = []
        for call, asked in asks:
            # All are encoded before the first model is called: the author's mistake must not stop a round half-way.
            with sendable(f"the arguments of {call.method.owner}.{call.method.name}"):
                extras = {instance: encode(extra) if extra else None for instance, extra in asked.items()}
                encoded.append((call, encode((call.args, call.kwargs)), extras))
        # Models run without awaiting anything, so that a cancellation must get its chance here.
        await anyio.lowlevel.checkpoint()
        for number, (call, body, extras) in enumerate(encoded):
            for group in [[one] for one in extras.items()] if each else [list(extras.items())]:
                # Not while others run on it: in the hands of whoever takes the replies.
                with self._thread, self._authors:
                    replies = [(instance, self._reply(instance, call, body, extra)) for instance, extra in group]
                try:
                    yield number, replies
                finally:
                    # A model that was late has answered by now: it is free for the next call.
                    for late, reply in replies:
                        if reply.trigger is Trigger.DEADLINE:
                            self._watcher.happened(late, Trigger.LATE, None)

    def telling(self, calls: Sequence[Call]) -> Telling:
        """Encode the calls, once for all models.

        Raises:
            ContractError: The arguments of one cannot be sent.
        """
        first = calls[0].method
        with sendable(f"the arguments of {first.owner}.{first.name}"):
            return Telling(calls, [encode((call.args, call.kwargs)) for call in calls])

    async def tell(self, telling: Telling, instance: Instance) -> ToldSoFar:
        """Make the calls that are left, for a moment in which nobody else gets the event loop."""
        assert isinstance(instance, _Inline)
        await anyio.lowlevel.checkpoint()
        before, done = instance.told
        done = done if before is telling else 0
        began = time.monotonic()
        reply: Reply | None = None
        with self._thread, self._authors:
            while done < len(telling.calls) and reply is None and time.monotonic() - began < _TURN_SECONDS:
                made = self._reply(instance, telling.calls[done], telling.written[done], None)
                done += 1
                reply = None if made.trigger is ANSWERED and made.value is None else made
        instance.told = telling, done
        return ToldSoFar(done, reply, is_free=True)

    def _reply(self, instance: Instance, call: Call, body: bytes, extra: bytes | None) -> Reply:
        assert isinstance(instance, _Inline)
        args, kwargs = decode(body)
        read = decode if call.method.returns_table else decode_answer
        if extra is not None:
            kwargs.update(decode(extra))
        began = self._clock()
        try:
            answer = instance.globals.run(self._authors, self._called, instance, call.method.name, args, kwargs)
            trigger, value, fault = ANSWERED, read(encode(answer)), None
        except Unsendable as error:
            trigger, value, fault = Trigger.INVALID, None, Fault("invalid", f"the answer cannot be sent: {error}")
        except Undecodable as error:
            trigger, value, fault = Trigger.INVALID, None, Fault("invalid", f"the answer cannot be read: {error}")
        except Interrupted as error:
            after = f"was interrupted after {self._clock() - began:.3g} s; the budget is {call.timeout:g} s"
            trigger, value, fault = Trigger.RAISED, None, _interrupted(error, after)
        except BaseException as error:  # nothing is awaited here, so whatever is raised comes from the model
            if isinstance(error, KeyboardInterrupt) and self._thread.is_main:
                raise  # the author has pressed ^C: that is where Python raises it
            self._on_raise(error)
            trigger, value, fault = Trigger.RAISED, None, _fault(error)
            if instance.callee.lacks(error):
                trigger, fault = self._setup.absence(call.method.name, str(error))
        elapsed = self._clock() - began
        if elapsed > call.timeout:
            answered = f"answered after {elapsed:.3g} s; the budget is {call.timeout:g} s"
            late = fault if fault is not None and fault.kind == "interrupted" else Fault("timeout", answered)
            return Reply(Trigger.DEADLINE, None, late, elapsed)
        return Reply(trigger, value, fault, elapsed)

    def _called(self, instance: _Inline, method: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        with instance.scope:
            return self._thread.call(instance.callee.call, method, args, kwargs)

    async def stop(self, instance: Instance) -> None:
        """Remove the folder that the model worked in. The garbage collector frees the model."""
        assert isinstance(instance, _Inline)
        if instance.folder is not None:
            await anyio.to_thread.run_sync(discard, instance.folder)

    async def close(self) -> None:
        """Remove the folders of all models."""
        if self._folder is not None:
            folder, self._folder = self._folder, None
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(discard, folder)


def _modules_of(source: Source) -> list[ModuleType]:
    """The modules of the author's that a class is from."""
    classes = source.cls.__mro__ if isinstance(source, ClassSource) else ()
    names = {each.__module__ for each in classes} - sys.stdlib_module_names
    return [module for name in names if (module := sys.modules.get(name)) is not None]


def _fault(error: BaseException) -> Fault:
    fault = fault_of(error)
    return replace(fault, message=fault.message + _elsewhere(error))


def _elsewhere(error: BaseException | None) -> str:
    """The end of a sentence about an error that only models in this process meet."""
    if isinstance(error, ValueError) and str(error).startswith(_NOT_MAIN):
        return ' (here models are called on another thread; with host="process" each has a main thread of its own)'
    return ""


def _interrupted(error: Interrupted, message: str) -> Fault:
    return Fault("interrupted", message, own_frames(error))
