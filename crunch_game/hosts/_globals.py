"""What a process has once, and each model in this one has for itself while its code runs, as in a process of its own.

Else one model's `numpy.random.seed` would be all models' luck, and the game's author would find another current folder,
another handler of a signal, his log in a model's file, or no event loop.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal.signal` makes enum members first, which takes ten times as long
import asyncio
import os
import signal
import sys
import threading
import time
import weakref
from asyncio import events
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from contextvars import Context
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final, ParamSpec, TypeVar

from crunch_game.hosts._generators import AuthorsGenerators, Generators
from crunch_game.hosts._logging import AuthorsLogging, ModelsLogging
from crunch_game.hosts._numeric_threads import NumericThreads

P = ParamSpec("P")
T = TypeVar("T")

_SIGNALS: Final = tuple(
    number
    for name in (
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGCHLD", "SIGVTALRM",
        "SIGPROF",
    )
    if (number := getattr(signal, name, None)) is not None
)  # fmt: skip
"""Those that programs set handlers for; to look at all takes longer than a call."""
_FOLDER: Final = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_PATH", 0)
_MAX_DESCRIPTORS: Final = 256
_TIMER_SLACK: Final = 0.05
"""Seconds by which an author's alarm may seem to have moved although nobody has set it anew."""


class AuthorsGlobals(AbstractContextManager[None]):
    """What the author's code has: put away while it is entered, for a model or several, one after the other."""

    def __init__(self) -> None:
        self.generators = AuthorsGenerators()
        self.logging = AuthorsLogging()
        self._threads = NumericThreads()
        self._path: list[str] = []
        self._absolute_path: list[str] = []

    def __enter__(self) -> None:
        self._streams = sys.stdout, sys.stderr
        self.folder = os.open(".", _FOLDER)
        self._make_path_absolute()
        self._loop = _without_loop()
        self.is_main = threading.current_thread() is threading.main_thread()
        if self.is_main:
            self._timer, self._began = _signal.getitimer(_signal.ITIMER_REAL), time.monotonic()
            self.handlers = _handlers()
        self.generators.put_away()
        self.logging.put_away()
        self._threads.one()

    def __exit__(self, *exc: object) -> None:
        self._threads.restore()
        self.logging.bring_back()
        self.generators.bring_back()
        if self.is_main:
            self._bring_timer_back()
        _with_loop(self._loop)
        if self._path != self._absolute_path:
            sys.path[:] = self._path
        os.fchdir(self.folder)
        os.close(self.folder)
        sys.stdout, sys.stderr = self._streams

    def _make_path_absolute(self) -> None:
        """Have imports look where they do now, when the current folder is another: "" stands for it in notebooks."""
        if sys.path != self._path:
            self._path = sys.path[:]
            self._absolute_path = list(map(os.path.abspath, sys.path))
        if self._path != self._absolute_path:
            sys.path[:] = self._absolute_path

    def _bring_timer_back(self) -> None:
        """Have no alarm of a model's go off in the author's code, and the author's own at its time."""
        left, interval = _signal.getitimer(_signal.ITIMER_REAL)
        before, before_interval = self._timer
        expected = before - (time.monotonic() - self._began) if before else 0.0
        if before_interval and expected < 0:
            expected %= before_interval  # it has gone off in the model, and goes on
        if interval != before_interval or bool(left) != bool(before) or abs(left - expected) > _TIMER_SLACK:
            _signal.setitimer(_signal.ITIMER_REAL, max(expected, 1e-6) if before else 0.0, before_interval)


class ModelsGlobals:
    """What one model has.

    Args:
        folder: The folder that it works in; None is the author's.
        modules: Modules of the author's that the model's class is from.
    """

    def __init__(self, folder: Path | None, modules: Iterable[ModuleType] = ()) -> None:
        self._place: str | int | None = None if folder is None else str(folder)
        self._generators = Generators(modules)
        self._logging = ModelsLogging()
        self._context = Context()  # with it the decimal context, and how numpy treats errors
        self._handlers: dict[int, Any] = {}

    def run(self, authors: AuthorsGlobals, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the model's code with its own in place, while the author's are put away.

        Raises:
            BaseException: Whatever the code raises.
        """
        os.chdir(authors.folder if self._place is None else self._place)
        if authors.is_main:
            for number, handler in self._handlers.items():
                _signal.signal(number, handler)
        self._generators.install(authors.generators)
        self._logging.install()
        try:
            return self._context.run(call, *args, **kwargs)
        finally:
            self._generators.leave(authors.generators)
            self._logging.leave(authors.logging)
            if authors.is_main and (handlers := _handlers()) != authors.handlers:
                self._unhandle(authors.handlers, handlers)

    def stay(self) -> None:
        """Make the current folder the one that the model works in, once it is loaded: it may have gone elsewhere."""
        if self._place is None:
            return
        with suppress(FileNotFoundError):
            self._place = os.getcwd()  # noqa: PTH109 - a Path would be made a str again at every call
            descriptor = os.open(".", _FOLDER)
            if descriptor >= _MAX_DESCRIPTORS:  # they are the author's
                os.close(descriptor)
                return
            self._place = descriptor  # to go there takes a quarter of the time
            weakref.finalize(self, os.close, descriptor)

    def _unhandle(self, authors: list[Any], models: list[Any]) -> None:
        """Set the author's signal handlers, and keep the model's for its next call."""
        self._handlers = {}
        for number, before, after in zip(_SIGNALS, authors, models, strict=True):
            if before != after:
                self._handlers[number] = after
                _signal.signal(number, before)


def _handlers() -> list[Any]:
    return [_signal.getsignal(number) for number in _SIGNALS]


def _without_loop() -> list[Callable[[], object]]:
    """Hide the running event loop, so that a model may run one of its own. Returns what brings it back."""
    back: list[Callable[[], object]] = []
    loop = events._get_running_loop()
    if loop is not None:
        if (swap := getattr(asyncio.tasks, "_swap_current_task", None)) is not None:
            task = swap(loop, None)
            back.append(lambda: swap(loop, task))
        events._set_running_loop(None)
        back.append(lambda: events._set_running_loop(loop))
    for module, name in (("trio._core._run", "GLOBAL_RUN_CONTEXT"), ("sniffio", "thread_local")):
        of_thread = getattr(sys.modules.get(module), name, None)
        if of_thread is not None and (attributes := vars(of_thread)):
            back.append(partial(attributes.update, attributes.copy()))
            attributes.clear()
    return back


def _with_loop(back: list[Callable[[], object]]) -> None:
    for step in reversed(back):
        step()
