"""multiprocessing's locks for a process that has only threads: they need no shared memory, which a sandbox refuses.

Thread pools are made of them too (`multiprocessing.pool.ThreadPool`, and so joblib's threads).
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Final

try:
    import _multiprocessing as _module  # type: ignore[import-not-found]
except ImportError:  # a Python without it has no such locks
    _module = None

__all__ = ["SemLock", "among_threads"]

_RECURSIVE: Final = 0


class SemLock:
    """What `_multiprocessing.SemLock` is, among the threads of one process."""

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
        """Take one, or wait for it; whether it was had in time."""
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

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give one back."""
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
    """Make every lock that multiprocessing makes from now on one of these."""
    if _module is not None:
        _module.SemLock = SemLock
