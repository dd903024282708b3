"""A participant's call in this very process, without losing the process: time limits, and `os._exit` as an error."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, TracebackType
from typing import Any, Final, NoReturn, TextIO

__all__ = ["Exited", "Return", "TimeUp", "exits_are_errors", "exits_are_told", "last_return", "limited", "patience"]

_GRACE: Final = 3.0
_AGAIN: Final = 0.5


class TimeUp(BaseException):
    """The call took so long that it was interrupted."""


class Exited(BaseException):
    """The call would have ended the process, with this exit code."""


def patience(budget: float) -> float:
    """Seconds after which a call is interrupted: late ones should have the time to show how late they are."""
    return max(1.0, min(10 * budget, budget + 30.0))


@contextmanager
def limited(seconds: float, dump: TextIO | None = None) -> Iterator[None]:
    """Raise `TimeUp` in what runs longer.

    What cannot be interrupted, since it never comes back to Python, ends the process a little later; `dump` (or
    stderr) then tells where it was.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    began = time.monotonic()
    kept = signal.signal(signal.SIGALRM, _time_up)
    before, interval = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    faulthandler.dump_traceback_later(seconds + _GRACE, exit=True, file=dump or sys.__stderr__ or 2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)
        if before:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, before - (time.monotonic() - began)), interval)


def _time_up(number: int, frame: FrameType | None) -> NoReturn:
    raise TimeUp


@contextmanager
def exits_are_errors() -> Iterator[None]:
    """Let `os._exit` raise `Exited`, so that there is a frame to look at, and somebody to do it."""

    def exit_(status: int = 0) -> NoReturn:
        raise Exited(status)

    kept, os._exit = os._exit, exit_
    try:
        yield
    finally:
        os._exit = kept


def exits_are_told(dump: TextIO) -> None:
    """Have `os._exit` write down where it was called, and then do its work."""
    leave = os._exit

    def exit_(status: int = 0) -> NoReturn:
        faulthandler.dump_traceback(dump, all_threads=False)
        leave(status)

    os._exit = exit_


class Return:
    """The frame in which a function last returned, as a traceback to look at it with."""

    def __init__(self) -> None:
        self.frame: FrameType | None = None

    def traceback(self) -> TracebackType | None:
        """It, if the function returned."""
        return TracebackType(None, self.frame, self.frame.f_lasti, self.frame.f_lineno) if self.frame else None


@contextmanager
def last_return(function: Callable[..., Any] | None) -> Iterator[Return]:
    """Watch where the function returns; what is no Python function is not watched."""
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    seen = Return()

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        if event == "return" and frame.f_code is code:
            seen.frame = frame

    kept = sys.getprofile()
    if isinstance(code, CodeType):
        sys.setprofile(watch)
    try:
        yield seen
    finally:
        sys.setprofile(kept)
