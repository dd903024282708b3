"""Keeps numeric libraries (BLAS, OpenMP) of this process at one thread while models run, as in processes of their own.

A sum over two threads rounds otherwise than one over one: with other threads a model would have other answers.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
from collections.abc import Callable
from typing import Any, Final

_PROCESSORS: Final = "LOKY_MAX_CPU_COUNT"
"""What joblib takes for the number of processors, and with it scikit-learn and LightGBM for that of their threads."""


class NumericThreads:
    """The numeric libraries that are loaded: `one` before models run, `restore` after."""

    def __init__(self) -> None:
        self._modules = self._loads = 0
        self._libraries: list[tuple[Callable[[], int], Callable[[int], None]]] = []
        """How each tells the number of its threads, and how it is set."""
        self._before: list[tuple[Callable[[int], None], int]] = []
        self._asks_for_processors = False
        self._processors: str | None = None

    def one(self) -> None:
        """Give each library one thread."""
        if len(sys.modules) != self._modules:
            self._modules = len(sys.modules)
            self._asks_for_processors = "joblib" in sys.modules
            if (loads := _loads()) != self._loads:
                self._loads = loads
                self._look()
        self._before = [(change, number) for count, change in self._libraries if (number := count()) > 1]
        for change, _ in self._before:
            change(1)
        if self._asks_for_processors:
            self._processors = os.environ.get(_PROCESSORS)
            os.environ[_PROCESSORS] = "1"

    def restore(self) -> None:
        """Give each library the threads that it had."""
        for change, number in self._before:
            change(number)
        if self._processors is not None:
            os.environ[_PROCESSORS] = self._processors
        elif self._asks_for_processors:
            os.environ.pop(_PROCESSORS, None)

    def _look(self) -> None:
        from threadpoolctl import ThreadpoolController  # here: it takes 10 ms, and only models inline need it

        self._libraries = list(map(_switch, ThreadpoolController().lib_controllers))
        # Two have threads of their own. Numba starts them when it is first asked, which takes a tenth of a second.
        for name in ("torch", "numba"):
            library: Any = sys.modules.get(name)
            if hasattr(library, "set_num_threads"):
                self._libraries.append((library.get_num_threads, library.set_num_threads))


def _switch(library: Any) -> tuple[Callable[[], int], Callable[[int], None]]:
    """How a library that threadpoolctl has found tells the number of its threads, and how it is set."""
    # Of OpenBLAS threadpoolctl 3.8 lets one thread of the process set it, and no other as long as that one lives: an
    # author's own limits would be void after ours, or ours after his.
    if library.internal_api == "openblas" and getattr(library, "threading_layer", None) == "pthreads":
        for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64")):
            names = (f"{prefix}openblas_{verb}_num_threads{suffix}" for verb in ("get", "set"))
            count, change = (getattr(library.dynlib, name, None) for name in names)
            if count and change:
                return count, change
    return lambda: library.get_num_threads() or 1, library.set_num_threads


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
