"""Rounds come first: long work waits for the time between them, be it on another thread or in models' processes.

Threads share the interpreter. One that computes keeps each system call of a round waiting for 5 ms, and a round of
100 models makes hundreds of these. And who is asked must not wait for a processor that a hundred others keep busy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import anyio

_ItemT = TypeVar("_ItemT")

_LOOK = 0.002
"""Seconds between two looks whether a round is over."""
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


async def until_quiet(most: float) -> None:
    """Wait until no round is being played in this process, at most so many seconds; not at all for less than a look."""
    deadline = time.monotonic() + most
    while most >= _LOOK and not _quiet.is_set() and time.monotonic() < deadline:  # noqa: ASYNC110 - an event of threads
        await anyio.sleep(_LOOK)
