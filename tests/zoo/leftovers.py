"""What a test leaves behind on the machine: processes, descriptors, threads, temporary files, shared memory."""

from __future__ import annotations

import ctypes
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 20.0
"""Seconds after which shared memory that is still there counts as left: other tests use /dev/shm at the same time."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What there is at one moment."""

    processes: frozenset[tuple[int, str]]
    descriptors: frozenset[tuple[int, str]]
    threads: frozenset[str]
    files: frozenset[str]
    segments: frozenset[tuple[str, int]]

    @classmethod
    def now(cls) -> Traces:
        """Everything below this process, of this process, and in its temporary folder."""
        return cls(
            frozenset((pid, _command(pid)) for pid in below(os.getpid())),
            frozenset(_descriptors()),
            frozenset(thread.name for thread in threading.enumerate() if "crunch_game" in thread.name),
            frozenset(str(path) for path in Path(tempfile.gettempdir()).rglob("*")),
            frozenset(_segments()),
        )

    def since(self, before: Traces) -> dict[str, list[object]]:
        """What is new, by kind; kinds of which nothing is are absent."""
        kinds = ("processes", "descriptors", "threads", "files", "segments")
        new = {kind: sorted(getattr(self, kind) - getattr(before, kind)) for kind in kinds}
        return {kind: found for kind, found in new.items() if found}


@contextmanager
def nothing_left() -> Iterator[set[int]]:
    """Fails when there is more after the block than before: at once, but for files in /dev/shm.

    The block gets a set for the numbers of the processes that it starts: of System V's segments those count that
    one of them, or this process, has made. Other tests make some, too.
    """
    ours = {os.getpid()}
    with _orphans_come_here():
        before = Traces.now()
        try:
            yield ours
            left = _left(before, ours)
            deadline = time.monotonic() + PATIENCE
            while left.keys() == {"segments"} and time.monotonic() < deadline:
                time.sleep(0.02)
                left = _left(before, ours)
        finally:
            _end(pid for pid, _ in Traces.now().processes - before.processes)
    assert not left, left


def _left(before: Traces, ours: set[int]) -> dict[str, list[object]]:
    left = Traces.now().since(before)
    left["segments"] = [name for name, maker in left.get("segments", []) if maker in {0, *ours}]
    return {kind: found for kind, found in left.items() if found}


@contextmanager
def _orphans_come_here() -> Iterator[None]:
    """Processes whose parent ended become children of this one, so that none escapes the count."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    assert prctl(36, 1, 0, 0, 0) == 0, "PR_SET_CHILD_SUBREAPER"
    try:
        yield
    finally:
        assert prctl(36, 0, 0, 0, 0) == 0


def _end(pids: Iterable[int]) -> None:
    """A test that fails leaves no more behind than one that does not."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def below(pid: int) -> set[int]:
    """All processes below this one, those included that nobody has reaped."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(FileNotFoundError, ProcessLookupError):
                children.setdefault(parent_of(int(entry.name)), []).append(int(entry.name))
    found: set[int] = set()
    ahead = [pid]
    while ahead:
        more = children.get(ahead.pop(), [])
        found.update(more)
        ahead.extend(more)
    return found


def parent_of(pid: int) -> int:
    """The process that this one is a child of."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone meanwhile"


def _descriptors() -> Iterator[tuple[int, str]]:
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists the folder
            yield int(entry.name), str(entry.readlink())


def _segments() -> Iterator[tuple[str, int]]:
    """Each with the number of the process that made it; 0 where that is not known."""
    yield from ((str(path), 0) for path in Path("/dev/shm").iterdir())
    table = Path("/proc/sysvipc/shm")
    if table.exists():
        names, *rows = (line.split() for line in table.read_text().splitlines())
        for row in rows:
            segment = dict(zip(names, row, strict=False))
            yield f"System V segment {segment['shmid']}", int(segment["cpid"])
