"""Rounds come first: long work on another thread of their process waits for the time between them.

Threads share the interpreter. One that computes keeps each system call of a round waiting for 5 ms, and a round of
100 models makes hundreds of these.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

_ItemT = TypeVar("_ItemT")

_PATIENCE = 10.0
"""So many times as long as a piece of work took, the next one waits at most: rounds may leave no time between them."""

_lock = threading.Lock()
_quiet = threading.Event()
_quiet.set()
_playing = 0


@contextmanager
def playing() -> Iterator[None]:
    """A round is being played."""
    global _playing
    with _lock:
        _playing += 1
        _quiet.clear()
    try:
        yield
    finally:
        with _lock:
            _playing -= 1
            if not _playing:
                _quiet.set()


def between_rounds(pieces: Iterable[_ItemT]) -> Iterator[_ItemT]:
    """The same pieces of work; before each, wait until no round is being played in this process."""
    began = time.monotonic()
    for piece in pieces:
        if not _quiet.is_set():
            _quiet.wait(_PATIENCE * (time.monotonic() - began))
        began = time.monotonic()
        yield piece
