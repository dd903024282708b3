"""The blocking face of the async parts, for scripts that have no event loop.

Everything is as in the async parts, without `async` and `await`; an event loop runs on a thread of its own. Works in
a notebook too, whose own loop is busy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from crunch_game import runner as _runner
from crunch_game import workers as _workers
from crunch_game.models import Model
from crunch_game.outcomes import Outcome, Round

__all__ = ["ModelRunner", "run_game"]


class ModelRunner:
    """`crunch_game.ModelRunner`, used as `with`. Takes the same arguments.

    Hooks given to `on_join`, and `on_event`, are called on the event loop's thread.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._runner = _runner.ModelRunner(*args, **kwargs)
        self._stack = ExitStack()
        self._portal: BlockingPortal

    def __enter__(self) -> Self:
        with ExitStack() as stack:  # ends the event loop's thread if the runner cannot be entered
            self._portal = stack.enter_context(start_blocking_portal())
            stack.enter_context(self._portal.wrap_async_context_manager(self._runner))
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

    def call(self, method: str, *args: Any, **kwargs: Any) -> Round:
        """As ModelRunner.call."""
        return self._portal.call(partial(self._runner.call, method, *args, **kwargs))

    def batch(self, calls: Sequence[_runner.MethodCall], *, models: _runner.Selection | None = None) -> list[Round]:
        """As ModelRunner.batch."""
        return self._portal.call(partial(self._runner.batch, calls, models=models))

    def stream(self, method: str, *args: Any, **kwargs: Any) -> Iterator[Outcome]:
        """As ModelRunner.stream."""
        outcomes = self._runner.stream(method, *args, **kwargs)
        try:
            while True:
                try:
                    yield self._portal.call(outcomes.__anext__)
                except StopAsyncIteration:
                    return
        finally:  # on the loop that it runs on: the garbage collector would close it on this thread
            self._portal.call(outcomes.aclose)

    def tick(self, *args: Any, **kwargs: Any) -> Round:
        """As ModelRunner.tick."""
        return self.call("tick", *args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Round:
        """As ModelRunner.predict."""
        return self.call("predict", *args, **kwargs)

    def stop(self, model_id: str, reason: str) -> None:
        """As ModelRunner.stop."""
        self._portal.call(self._runner.stop, model_id, reason)

    def readmit(self, model_id: str) -> None:
        """As ModelRunner.readmit."""
        self._portal.call(self._runner.readmit, model_id)


def run_game(*args: Any, **kwargs: Any) -> _workers.GameResult:
    """As `crunch_game.run_game`."""
    with start_blocking_portal() as portal:
        return portal.call(partial(_workers.run_game, *args, **kwargs))
