"""InlineHost: runs models in this process, for notebooks, tests and trusted models. It enforces nothing."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Self

import anyio.lowlevel

from crunch_game._importing import Scope, import_code
from crunch_game._public import public
from crunch_game.encoding import Undecodable, Unsendable, decode, decode_answer, encode, sendable
from crunch_game.errors import LoadError
from crunch_game.faults import fault_of, own_frames
from crunch_game.hosts._calling import Callee
from crunch_game.hosts._interrupting import Interrupted, ModelThread
from crunch_game.hosts.base import Asked, Call, Instance, Loaded, LoadFailure, Reply, Setup, Watcher
from crunch_game.loading import make_model
from crunch_game.models import Submission
from crunch_game.outcomes import Fault
from crunch_game.policy import ANSWERED, Trigger


class _Inline(Instance):
    def __init__(self, submission: Submission, callee: Callee, scope: Scope) -> None:
        super().__init__(submission)
        self.callee = callee
        self.scope = scope


@public
class InlineHost:
    """Runs models one after the other on the thread of the event loop.

    A model can hang or end the whole process, and all models share its memory. Arguments and answers are still copied,
    so that no model changes what the others or the game see. An answer over its budget becomes a TIMEOUT afterwards.

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

    def fresh(self) -> Self:
        """Return a host with the same arguments, which nobody has opened."""
        twin = copy.copy(self)
        twin._thread = ModelThread()
        return twin

    async def open(self, setup: Setup, submissions: Sequence[Submission], watcher: Watcher) -> None:
        """Keep what `start` needs."""
        self._setup = setup
        self._watcher = watcher

    async def start(self, submission: Submission, timeout: float) -> Loaded:
        """Load the model. `timeout` is not enforced."""
        setup = self._setup
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                # Copied, as for models in processes: they must not share what they are given.
                args, kwargs = decode(encode((list(setup.init_args), dict(setup.init_kwargs))))
                with self._thread:
                    code = self._thread.call(import_code, submission.source)
                    with code.scope:
                        model = self._thread.call(make_model, code, setup.contract, setup.loader, args, kwargs)
            except Interrupted as error:
                raise LoadFailure(_interrupted(error, "loading it was interrupted")) from None
            except LoadError as error:
                cause = error.__cause__
                self._on_raise(cause or error)
                frames = own_frames(cause) if cause else None
                raise LoadFailure(Fault(type(cause or error).__name__, str(error), frames)) from None
            except Exception as error:
                self._on_raise(error)
                raise LoadFailure(fault_of(error)) from error
        told = tuple(str(warning.message) for warning in caught)
        return Loaded(_Inline(submission, Callee(model, setup.contract), code.scope), told)

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
                with self._thread:  # not while others run on it: in the hands of whoever takes the replies
                    replies = [(instance, self._reply(instance, call, body, extra)) for instance, extra in group]
                try:
                    yield number, replies
                finally:
                    # A model that was late has answered by now: it is free for the next call.
                    for late, reply in replies:
                        if reply.trigger is Trigger.DEADLINE:
                            self._watcher.happened(late, Trigger.LATE, None)

    def _reply(self, instance: Instance, call: Call, body: bytes, extra: bytes | None) -> Reply:
        assert isinstance(instance, _Inline)
        args, kwargs = decode(body)
        read = decode if call.method.returns_table else decode_answer
        if extra is not None:
            kwargs.update(decode(extra))
        began = self._clock()
        try:
            with instance.scope:
                answer = self._thread.call(instance.callee.call, call.method.name, args, kwargs)
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
            trigger, value, fault = Trigger.RAISED, None, fault_of(error)
            if instance.callee.lacks(error):
                trigger, fault = self._setup.absence(call.method.name, str(error))
        elapsed = self._clock() - began
        if elapsed > call.timeout:
            answered = f"answered after {elapsed:.3g} s; the budget is {call.timeout:g} s"
            late = fault if fault is not None and fault.kind == "interrupted" else Fault("timeout", answered)
            return Reply(Trigger.DEADLINE, None, late, elapsed)
        return Reply(trigger, value, fault, elapsed)

    async def stop(self, instance: Instance) -> None:
        """Do nothing: the garbage collector frees the model."""

    async def close(self) -> None:
        """Do nothing."""


def _interrupted(error: Interrupted, message: str) -> Fault:
    return Fault("interrupted", message, own_frames(error))
