"""Keeps numeric libraries (BLAS, OpenMP) of this process at one thread while models run, as in processes of their own.

A sum over two threads rounds otherwise than one over one: with other threads a model would have other answers.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any


class NumericThreads:
    """The numeric libraries that are loaded: `one` before models run, `restore` after."""

    def __init__(self) -> None:
        self._modules = self._loads = 0
        self._libraries: list[tuple[Callable[[], int], Callable[[int], None]]] = []
        """How each tells the number of its threads, and how it is set."""
        self._before: list[tuple[Callable[[int], None], int]] = []

    def one(self) -> None:
        """Give each library one thread."""
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            if (loads := _loads()) != self._loads:
                self._loads = loads
                self._look()
        self._before = [(change, number) for count, change in self._libraries if (number := count()) > 1]
        for change, _ in self._before:
            change(1)

    def restore(self) -> None:
        """Give each library the threads that it had."""
        for change, number in self._before:
            change(number)

    def _look(self) -> None:
        from threadpoolctl import ThreadpoolController  # here: it takes 10 ms, and most games need no numbers

        libraries = ThreadpoolController().lib_controllers
        self._libraries = [(each.get_num_threads, each.set_num_threads) for each in libraries]
        torch: Any = sys.modules.get("torch")
        if torch is not None:
            self._libraries.append((torch.get_num_threads, torch.set_num_threads))


class _Loaded(ctypes.Structure):
    """The beginning of glibc's and musl's `struct dl_phdr_info`."""

    _fields_ = [
        ("address", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("headers", ctypes.c_void_p),
        ("count", ctypes.c_uint16),
        ("loads", ctypes.c_ulonglong),
    ]


_Visitor: Any = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(_Loaded), ctypes.c_size_t, ctypes.POINTER(ctypes.c_ulonglong)
)


def _first(loaded: Any, size: int, loads: Any) -> int:
    loads[0] = loaded[0].loads
    return 1  # they all tell the same


_visit: Any = _Visitor(_first)
_walk: Any = getattr(ctypes.CDLL(None), "dl_iterate_phdr", None)


def _loads() -> int:
    """A number that changes whenever the process has loaded a library: looking for numeric ones takes milliseconds."""
    if _walk is None:  # macOS
        return len(sys.modules)
    loads = ctypes.c_ulonglong()
    _walk(_visit, ctypes.byref(loads))
    return loads.value
