"""Locks of multiprocessing that need no shared memory, which the sandbox refuses, for a process that has only threads.

`multiprocessing.pool.ThreadPool` uses such locks too, and joblib's threads are made of that.
"""

from __future__ import annotations

import threading
from typing import Final

try:
    import _multiprocessing as _module  # type: ignore[import-not-found]
except ImportError:  # this Python has no such locks
    _module = None

_RECURSIVE: Final = 0


class SemLock:
    """Replaces `_multiprocessing.SemLock`, for the threads of one process."""

    SEM_VALUE_MAX = 2**31 - 1
    name = None
    handle = 0

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        self.kind = kind
        self.maxvalue = maxvalue
        self._value = value
        self._owner: int | None = None
        self._depth = 0
        self._changed = threading.Condition()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquire the semaphore; false if that takes longer than `timeout` seconds."""
        with self._changed:
            if self.kind != _RECURSIVE or not self._is_mine():
                limit = (timeout if timeout is None else max(0, timeout)) if block else 0
                if not self._changed.wait_for(lambda: self._value > 0, limit):
                    return False
                self._value -= 1
                self._owner = threading.get_ident()
            self._depth += 1
            return True

    __enter__ = acquire

    def __exit__(self, *error: object) -> None:
        self.release()

    def release(self) -> None:
        with self._changed:
            if self.kind == _RECURSIVE:
                if not self._is_mine():
                    raise AssertionError("attempt to release recursive lock not owned by thread")
                self._depth -= 1
                if self._depth:
                    return
            elif self._value >= self.maxvalue:
                raise ValueError("semaphore or lock released too many times")
            else:
                self._depth -= 1
            self._value += 1
            self._changed.notify()

    def _count(self) -> int:
        return self._depth

    def _is_mine(self) -> bool:
        return self._depth > 0 and self._owner == threading.get_ident()

    def _get_value(self) -> int:
        return self._value

    def _is_zero(self) -> bool:
        return self._value == 0


def among_threads() -> None:
    """Let multiprocessing make all its locks of this kind from now on."""
    if _module is not None:
        _module.SemLock = SemLock
