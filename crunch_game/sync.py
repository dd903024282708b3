"""The blocking face of the async parts, for scripts that have no event loop.

Everything is as in the async parts, without `async` and `await`; an event loop runs on a thread of its own. Works in
a notebook too, whose own loop is busy.
"""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial, wraps
from typing import Any, Final, ParamSpec, Self, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from crunch_game import runner as _runner
from crunch_game import workers as _workers
from crunch_game.hosts import hurry
from crunch_game.models import Model
from crunch_game.outcomes import Outcome, Round
from crunch_game.workers import GameResult, PredictWorker

__all__ = ["ModelRunner", "run_game"]

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

logger = logging.getLogger("crunch_game")

_PARTING: Final = 5.0
"""Seconds that the event loop has to end everything after a KeyboardInterrupt, before its caller goes on without it."""


def _like(function: Callable[P, Any]) -> Callable[[Callable[..., T]], Callable[P, T]]:
    """Give a blocking function the arguments of the async one, and its documentation below the own."""

    def decorate(blocking: Callable[..., T]) -> Callable[P, T]:
        alike = wraps(function, assigned=())(blocking)
        alike.__doc__ = "\n\n".join(inspect.cleandoc(each.__doc__ or "") for each in (blocking, function))
        return alike

    return decorate


def _as_method(function: Callable[..., Any]) -> Callable[[F], F]:
    """`_like` for methods, whose `self` is another."""
    return _like(function)  # type: ignore[return-value]


class _LoopThread:
    """An event loop on a thread of its own, and calls of it that KeyboardInterrupt ends."""

    def __init__(self) -> None:
        self._portal: Future[BlockingPortal] = Future()
        self._thread = threading.Thread(target=self._run, name="crunch_game's event loop", daemon=True)
        self._ended = threading.Event()

    def _run(self) -> None:
        async def until_stopped() -> None:
            async with BlockingPortal() as portal:
                self._portal.set_result(portal)
                await portal.sleep_until_stopped()

        try:
            anyio.run(until_stopped)
        finally:
            self._ended.set()

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Run it until the body ends. If it raises, what still runs on the loop is cancelled.

        After KeyboardInterrupt the thread may be left behind, with a model that does not give it back.
        """
        self._thread.start()
        most, cancel = None, True
        try:
            self._portal.result()
            yield self
            cancel = False
        except KeyboardInterrupt:
            most = _PARTING
            self.hurry(self._ended)
            raise
        finally:
            # On one more thread, since the call only returns once the loop has taken it.
            threading.Thread(target=self._stop, args=(cancel,), daemon=True).start()
            self._thread.join(most)

    def _stop(self, cancel: bool) -> None:
        portal = self._portal.result()
        with suppress(RuntimeError):  # it has ended by itself
            portal.call(portal.stop, cancel)

    def start(self, function: Callable[[], Awaitable[T]]) -> tuple[Future[T], threading.Event]:
        """Call the function on the loop; what it comes to, and what is set when it has ended."""
        over = threading.Event()

        async def play() -> T:
            try:
                return await function()
            finally:
                over.set()

        return self._portal.result().start_task_soon(play), over

    def call(self, function: Callable[[], Awaitable[T]]) -> T:
        """Call the function on the loop, and wait for its result. KeyboardInterrupt cancels it."""
        future, over = self.start(function)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            self.hurry(over)
            raise

    @contextmanager
    def entered(self, manager: AbstractAsyncContextManager[Any]) -> Iterator[None]:
        """Be in an async context manager. KeyboardInterrupt leaves it to `running`, which ends all, to leave it."""
        blocking = self._portal.result().wrap_async_context_manager(manager)
        with ExitStack() as stack:
            stack.enter_context(blocking)
            try:
                yield
            except KeyboardInterrupt:
                stack.pop_all()  # a model may keep the loop busy, and then it could not be left
                raise

    def hurry(self, until: threading.Event) -> None:
        """Interrupt models that keep the loop's thread busy, until the event is set."""
        hurry(self._thread.ident or 0, until)


class ModelRunner:
    """`crunch_game.ModelRunner`, used as `with`. Takes the same arguments.

    Hooks given to `on_join`, and `on_event`, are called on the event loop's thread. Ctrl-C ends the call that it meets,
    and raises KeyboardInterrupt.
    """

    @_as_method(_runner.ModelRunner.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """The arguments of `crunch_game.ModelRunner`."""
        self._runner = _runner.ModelRunner(*args, **kwargs)
        self._stack = ExitStack()
        self._loop = _LoopThread()

    def __enter__(self) -> Self:
        with ExitStack() as stack:  # ends the event loop's thread if the runner cannot be entered
            stack.enter_context(self._loop.running())
            stack.enter_context(self._loop.entered(self._runner))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: Any) -> bool | None:
        return self._stack.__exit__(*exc)

    @property
    def models(self) -> Mapping[str, Model]:
        """As ModelRunner.models."""
        return self._runner.models

    def on_join(self, hook: _runner.JoinHook) -> _runner.JoinHook:
        """As ModelRunner.on_join: the hook is an async function of (model, the async runner)."""
        return self._runner.on_join(hook)

    @_as_method(_runner.ModelRunner.call)
    def call(self, method: str, *args: Any, **kwargs: Any) -> Round:
        """As the async runner's."""
        return self._loop.call(partial(self._runner.call, method, *args, **kwargs))

    @_as_method(_runner.ModelRunner.batch)
    def batch(self, calls: Sequence[_runner.MethodCall], *, models: _runner.Selection | None = None) -> list[Round]:
        """As the async runner's."""
        return self._loop.call(partial(self._runner.batch, calls, models=models))

    @_as_method(_runner.ModelRunner.stream)
    def stream(self, method: str, *args: Any, **kwargs: Any) -> Iterator[Outcome]:
        """As the async runner's."""
        outcomes = self._runner.stream(method, *args, **kwargs)
        try:
            while True:
                try:
                    yield self._loop.call(outcomes.__anext__)
                except StopAsyncIteration:
                    return
        finally:  # on the loop that it runs on: the garbage collector would close it on this thread
            self._loop.call(outcomes.aclose)

    def tick(self, *args: Any, **kwargs: Any) -> Round:
        """As ModelRunner.tick."""
        return self.call("tick", *args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Round:
        """As ModelRunner.predict."""
        return self.call("predict", *args, **kwargs)

    def stop(self, model_id: str, reason: str) -> None:
        """As ModelRunner.stop."""
        self._loop.call(partial(self._runner.stop, model_id, reason))

    def readmit(self, model_id: str) -> None:
        """As ModelRunner.readmit."""
        self._loop.call(partial(self._runner.readmit, model_id))


@_like(_workers.run_game)
def run_game(*args: Any, on_start: Callable[[PredictWorker], Any] | None = None, **kwargs: Any) -> GameResult:
    """`crunch_game.run_game`, blocking.

    Ctrl-C, or a notebook's stop button, ends the game after the current row, and the result is that of what was played;
    a second one raises KeyboardInterrupt.
    """
    workers: list[PredictWorker] = []

    def keep(worker: PredictWorker) -> None:
        workers.append(worker)
        if on_start is not None:
            on_start(worker)

    with _LoopThread().running() as loop:
        future, over = loop.start(partial(_workers.run_game, *args, on_start=keep, **kwargs))
        try:
            return future.result()
        except KeyboardInterrupt:
            if over.is_set() or not workers:
                raise
            workers[0].stop()
            loop.hurry(over)
            logger.warning("interrupted: the game ends after this row; interrupt it once more to end it at once")
        return replace(future.result(), interrupted=True)
