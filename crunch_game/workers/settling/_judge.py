"""Calls the author's `resolve` and scorer: what raises sets a prediction aside, and what hangs is left behind."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from crunch_game.errors import MissingExtra
from crunch_game.faults import describe_exception

_ItemT = TypeVar("_ItemT")


@dataclass(frozen=True)
class Failed:
    """Why there is no value."""

    reason: str


class _Hung(BaseException):
    """Raised in a thread that is left behind, as soon as it runs Python again, so that it ends."""


class _Task:
    """One function for many items, one after the other."""

    def __init__(self, function: Callable[[Any], Any], items: Sequence[Any], what: str) -> None:
        self._function = function
        self._items = items
        self._what = what
        self.size = len(items)
        self.results: list[Any] = []
        self.over = threading.Event()

    def run(self) -> None:
        """Fill `results`; on the author's thread."""
        try:
            for item in self._items:
                self.results.append(self._result(item))
        finally:
            self.over.set()

    def _result(self, item: Any) -> Any:
        try:
            return self._function(item)
        except _Hung:
            raise
        except BaseException as error:  # noqa: BLE001 - the author's code may raise anything, and must not stop the game
            # A missing library is no fault of one prediction.
            return (
                error if isinstance(error, MissingExtra) else Failed(f"{self._what} raised {describe_exception(error)}")
            )


class Judge:
    """Runs the author's functions on a thread of its own, which is left behind if one of them does not return.

    Args:
        timeout: Seconds that one call may take.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._tasks: SimpleQueue[_Task | None] | None = None
        self._thread: threading.Thread | None = None

    def each(self, function: Callable[[_ItemT], Any], items: Sequence[_ItemT], what: str) -> list[Any]:
        """What the function returns for each item, or Failed.

        Args:
            function: The author's.
            items: What it is called with, one after the other.
            what: Its name, for people.

        Raises:
            MissingExtra: A library is not installed that it needs.
        """
        results: list[Any] = []
        while len(results) < len(items):
            results += self._run(_Task(function, items[len(results) :], what), what)
        for result in results:
            if isinstance(result, MissingExtra):
                raise result
        return results

    def _run(self, task: _Task, what: str) -> list[Any]:
        """The task's results; up to that which takes too long, if one does."""
        self._queue().put(task)
        done = -1
        while not task.over.wait(self._timeout):
            if len(task.results) == done < task.size:
                results = task.results[:done]
                self._leave_behind()
                return [*results, Failed(f"{what} took longer than {self._timeout:g} s")]
            done = len(task.results)
        return task.results

    def _queue(self) -> SimpleQueue[_Task | None]:
        if self._tasks is None:
            tasks = self._tasks = SimpleQueue()
            self._thread = threading.Thread(target=_serve, args=(tasks,), name="crunch_game judge", daemon=True)
            self._thread.start()
            weakref.finalize(self, tasks.put, None)  # it ends with whoever has it judge
        return self._tasks

    def _leave_behind(self) -> None:
        """Let the thread end when it can, and begin another for the next task."""
        assert self._tasks is not None
        assert self._thread is not None
        self._tasks.put(None)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(_Hung))
        self._tasks = self._thread = None


def _serve(tasks: SimpleQueue[_Task | None]) -> None:
    try:
        while (task := tasks.get()) is not None:
            task.run()
    except _Hung:
        pass
