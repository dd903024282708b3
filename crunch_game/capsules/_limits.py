"""A participant's code, played again without losing whoever plays it: time limits, and what ends its process."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from crunch_game._importing import Code
    from crunch_game.contract import Contract
    from crunch_game.loading import Loader

EXITS: Final = "Fatal Python error: exit code"
"""What a dump on stderr begins with that `TellsExits` wrote: the host looks for Python's own words for a crash."""
_GRACE: Final = 3.0
"""Seconds after which what cannot be interrupted, since it never comes back to Python, ends this process."""
_AGAIN: Final = 0.5
"""Seconds after which it is interrupted once more: the participant's code may have caught the first."""


class TimeUp(BaseException):
    """The call took so long that it was interrupted."""


class ExitCalled(BaseException):
    """The call would have ended the process, with this exit code."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `TimeUp` in what runs longer in this process; nothing where there are no signals."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def time_up(number: int, frame: FrameType | None) -> NoReturn:
        raise TimeUp

    began = time.monotonic()
    kept = signal.signal(signal.SIGALRM, time_up)
    before, interval = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    faulthandler.dump_traceback_later(seconds + _GRACE, exit=True, file=sys.__stderr__ or 2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)
        if before:
            signal.setitimer(signal.ITIMER_REAL, max(0.001, before - (time.monotonic() - began)), interval)


@contextmanager
def exits_are_errors() -> Iterator[None]:
    """Let `os._exit` raise `ExitCalled` in this process, so that there is a frame to look at, and somebody to do it."""

    def exit_(status: int = 0) -> NoReturn:
        raise ExitCalled(status)

    kept, os._exit = os._exit, exit_
    try:
        yield
    finally:
        os._exit = kept


@dataclass(frozen=True)
class TellsExits:
    """A loader for a process of the model's own, in which `os._exit` says where it was called before it ends it."""

    loader: Loader

    def load(self, code: Code, contract: Contract, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """As the loader's."""
        leave = os._exit

        def exit_(status: int = 0) -> NoReturn:
            os.write(2, f"{EXITS} {status}\n".encode())
            faulthandler.dump_traceback(2, all_threads=False)
            leave(status)

        os._exit = exit_
        return self.loader.load(code, contract, args, kwargs)


@contextmanager
def last_return(method: str, is_foreign: Callable[[str], bool]) -> Iterator[list[TracebackType]]:
    """Watch where functions of that name return, but for those in files that are foreign.

    Gives a list that gets the last such place, as a traceback to look at it with.
    """
    seen: list[TracebackType] = []

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        if event == "return" and frame.f_code.co_name == method and not is_foreign(frame.f_code.co_filename):
            seen[:] = [TracebackType(None, frame, frame.f_lasti, frame.f_lineno)]

    kept = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield seen
    finally:
        sys.setprofile(kept)
