"""How a model that runs in this very process, and does not come back, is interrupted: whichever thread it runs on."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal.signal` makes enum members first, which takes ten times as long
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, Final, ParamSpec, Self, TypeVar

__all__ = ["Interrupted", "ModelThread", "hurry"]

P = ParamSpec("P")
T = TypeVar("T")

_GRACE: Final = 0.5
"""Seconds that a call may take when the author interrupts the game: most end sooner, and nothing is lost."""


class Interrupted(KeyboardInterrupt):
    """Raised in a model's code, to get back the thread that it is on."""


class ModelThread:
    """The thread that runs a host's models, while it does: `with` it, each call of theirs goes through `call`.

    On the main thread, SIGINT does what it did before: an event loop's handler cancels a task, an author's own stops a
    worker. A model that is busy notices neither, so it is interrupted besides, once it has had its grace. On other
    threads Python delivers no signal: whoever gets it calls `hurry`.

    A model that waits in code which is not Python's is interrupted when that returns. What it catches itself
    (`except BaseException`) is in vain.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = 0
        self._outer: ModelThread | None = None
        """Whose model has a game of its own, which is this one's."""
        self._before: Any = None
        """The handler that ours stands in front of; None if ours is not installed."""
        self._left: threading.Event | None = None
        self._busy = False
        self._turn = 0
        self._began = 0.0
        self._sent = False
        """Whether something was raised in the thread from outside, which it may not have noticed yet."""

    def __enter__(self) -> Self:
        self._thread = threading.get_ident()
        self._outer = _running.get(self._thread)
        _running[self._thread] = self
        if self.is_main:
            before = _signal.getsignal(signal.SIGINT)
            # Python's own raises in the model, which is all that is wanted; and what is ignored stays so.
            if callable(before) and before is not signal.default_int_handler:
                self._before = before
                _signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._outer is None:
            del _running[self._thread]
        else:
            _running[self._thread], self._outer = self._outer, None
        if self._before is not None:
            _signal.signal(signal.SIGINT, self._before)
            self._before = None
        if self._left is not None:
            self._left.set()
            self._left = None

    @property
    def is_main(self) -> bool:
        """Whether this is the thread that Python delivers signals on."""
        return self._thread == threading.main_thread().ident

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a model's code.

        Raises:
            Interrupted: It was interrupted.
            BaseException: Whatever the function raises.
        """
        self._turn += 1
        self._began = time.monotonic()
        self._busy = True
        try:
            return function(*args, **kwargs)
        finally:
            # It has come back: nothing of ours may be interrupted in its place.
            while self._busy:
                try:
                    with self._lock:
                        self._busy = False
                        if self._sent:
                            self._sent = False
                            _raise_in(self._thread, None)
                except Interrupted:
                    pass

    def interrupt(self, turn: int) -> None:
        """Interrupt the call of this number, if it still goes on; from another thread."""
        with self._lock:
            if self._busy and self._turn == turn:
                self._sent = True
                _raise_in(self._thread, Interrupted)

    def _on_signal(self, number: int, frame: Any) -> None:
        self._before(number, frame)
        if not self._busy:
            return
        if time.monotonic() - self._began > _GRACE:
            raise Interrupted  # here, since this ends what the thread waits for, such as time.sleep, too
        if self._left is None:
            self._left = threading.Event()
            hurry(self._thread, self._left)


_running: dict[int, ModelThread] = {}
"""By thread."""


def hurry(thread: int, until: threading.Event) -> None:
    """Interrupt every inline model that keeps this thread busy, once it has had its grace, until the event is set."""

    def watch() -> None:
        last: tuple[ModelThread, int] | None = None
        while not until.wait(_GRACE):
            running = _running.get(thread)
            now = None if running is None else (running, running._turn)
            if now is not None and now == last:
                now[0].interrupt(now[1])
            last = now

    threading.Thread(target=watch, name="hurrying models", daemon=True).start()


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    """Have a thread raise this before its next bytecode; None takes back what it has not raised yet."""
    import ctypes  # here, since hardly any game needs it

    raised = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)
