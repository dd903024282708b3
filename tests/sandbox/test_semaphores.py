"""Locks among threads, where the sandbox refuses those among processes."""

from __future__ import annotations

import pytest

from crunch_game.sandbox._semaphores import SemLock


def test_locks_among_threads_are_multiprocessings() -> None:
    semaphore, recursive = SemLock(1, 2, 2, "x", True), SemLock(0, 1, 1, "x", True)
    assert semaphore.acquire()
    assert semaphore.acquire()
    assert not semaphore.acquire(False)
    assert not semaphore.acquire(True, 0.001)
    semaphore.release()
    semaphore.release()
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()
    with recursive, recursive:
        assert recursive._is_mine()
        assert recursive._count() == 2
        assert recursive._is_zero()
    with pytest.raises(AssertionError, match="not owned by thread"):
        recursive.release()
