"""What models print, in files that stay within a limit: cut from time to time, the tail kept beside them in `.1`."""

from __future__ import annotations

import hashlib
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["LEAST_LIMIT", "Keeper", "Log", "file_name"]

LEAST_LIMIT: Final = 4096
_NOTE: Final = 100
"""Bytes that the line takes, at most, which says how much was dropped."""
_SHARE: Final = 0.005
"""What looking at sizes may cost at most, as a share of one core."""
_SHORTEST, _LONGEST = 0.1, 5.0
"""Seconds between two looks."""
_LONGEST_NAME: Final = 200


def file_name(model_id: str) -> str:
    """The id where it can be a file's name; no two ids have the same."""
    name = re.sub(r"[^\w.-]", lambda found: "".join(f"%{byte:02X}" for byte in os.fsencode(found[0])), model_id)
    if len(os.fsencode(name)) <= _LONGEST_NAME:
        return name
    return f"{name[:40]}-{hashlib.sha256(os.fsencode(model_id)).hexdigest()}"


class Log:
    """One stream of one model on disk: its process appends to it, the coordinator reads and cuts it.

    Positions count bytes since the log was first looked at, so that no cut moves them. From any thread.

    Args:
        path: The file.
        limit: Bytes that it may have, together with what was cut off and kept.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        self.half = limit // 2
        self.users = 0
        self._older = path.with_name(f"{path.name}.1")
        self._start = 0  # the position of the file's first byte
        self._kept = 0  # how many bytes before it are in the older file
        self._tail: bytes | None = None  # these bytes, until they are there
        self._state = threading.Lock()  # never held while something is written
        self._cutting = threading.Lock()
        self._removed = False

    def open(self) -> int:
        """A descriptor for a process to append to.

        Raises:
            OSError: There is none.
        """
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def end(self) -> int:
        """The position after the last byte."""
        with self._state, suppress(OSError):
            return self._start + self.path.stat().st_size
        return self._start

    def read(self, begin: int, end: int) -> bytes:
        """What was written between two positions, as far as it is still there."""
        with self._state, suppress(OSError), self.path.open("rb") as file:
            file.seek(max(0, begin - self._start))
            recent = file.read(max(0, end - max(begin, self._start)))
            older = self._before(self._start - begin)
            return (older + recent)[: max(0, end - begin)]
        return b""

    def _before(self, count: int) -> bytes:
        """The last bytes that were cut off and kept."""
        count = min(count, self._kept)
        if count <= 0:
            return b""
        return self._tail[-count:] if self._tail is not None else _last(self._older, count)

    def append(self, text: str) -> int:
        """Write a line of our own; the position before it."""
        end = self.end()
        with suppress(OSError):
            descriptor = self.open()
            try:
                os.write(descriptor, text.encode(errors="replace"))
            finally:
                os.close(descriptor)
        return end

    def cut(self) -> None:
        """Keep the tail elsewhere and empty the file, if it is too long."""
        with self._cutting, suppress(OSError):
            if not self._removed and self.path.stat().st_size > self.half:
                self._cut()
            elif self._kept == 0 and self._older.exists() and self._older.stat().st_size > self.half:
                self._keep(_last(self._older, self.half))  # from a run with another limit

    def _cut(self) -> None:
        with self._state, self.path.open("r+b", buffering=0) as file:
            size = seen = os.fstat(file.fileno()).st_size
            tail = os.pread(file.fileno(), self.half, max(0, size - self.half))
            for _ in range(3):  # what is written between the last look and the cut is lost: a moment's worth
                seen, size = size, os.fstat(file.fileno()).st_size
                if size <= seen:
                    break
                tail += os.pread(file.fileno(), self.half, max(seen, size - self.half))
            file.truncate(0)
            tail = tail[-(self.half - _NOTE) :]
            whole_lines = tail.find(b"\n", 0, self.half // 2) + 1
            self._tail = tail[whole_lines:]
            self._kept = len(self._tail)
            self._start += size
        dropped = self._start - self._kept
        self._keep(b"[crunch_game] %d bytes before this line were dropped\n" % dropped + self._tail)
        with self._state:
            self._tail = None

    def _keep(self, content: bytes) -> None:
        fresh = self._older.with_name(f"{self._older.name}.new")
        try:
            fresh.write_bytes(content)
            fresh.replace(self._older)
        except OSError:  # the disk is full: that is when logs must get out of the way
            self._kept = 0
            for path in (fresh, self._older):
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the file, and what was cut off."""
        with self._cutting:
            self._removed = True
            for path in (self.path, self._older):
                path.unlink(missing_ok=True)


class Keeper:
    """A thread that looks at the logs' sizes, as often as half a percent of a core allows, and cuts those too long.

    Args:
        limit: Bytes of one stream on disk.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._logs: dict[Path, Log] = {}
        self._hot: list[Log] = []
        self._users = threading.Lock()
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="crunch_game logs", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Look a last time, and end the thread; blocks for the moment that it takes."""
        self._tasks.put(None)
        self._thread.join()
        self.look()

    def do(self, task: Callable[[], None]) -> None:
        """Run the function on this thread, where disks may be waited for. It must not raise."""
        self._tasks.put(task)

    def keep(self, path: Path) -> Log:
        """The log at the path, watched until all who keep it have let it go."""
        with self._users:
            log = self._logs.get(path)
            if log is None:
                log = self._logs[path] = Log(path, self._limit)
                log.cut()
            log.users += 1
            return log

    def let_go(self, log: Log, *, remove: bool) -> None:
        """Watch the log no more: it is left within its limit, or removed."""
        with self._users:
            log.users -= 1
            if log.users:
                return
            self._logs.pop(log.path, None)
        if remove:
            log.remove()
        else:
            log.cut()

    def look(self) -> float:
        """Cut what is too long; the processor time that looking took, in seconds."""
        began = time.thread_time()
        self._hot = self._cut(list(self._logs.values()))
        return time.thread_time() - began

    def _cut(self, logs: Iterable[Log]) -> list[Log]:
        """Those of the logs that were too long."""
        long = []
        for log in logs:
            with suppress(OSError):
                if os.stat(log.path).st_size > log.half:  # noqa: PTH116 - for thousands of files, all the time
                    log.cut()
                    long.append(log)
        return long

    def _run(self) -> None:
        at = time.monotonic() + _SHORTEST
        while True:
            # Who was found too long is looked at more often until all are looked at again.
            pause = min(_SHORTEST, at - time.monotonic()) if self._hot else at - time.monotonic()
            try:
                task = self._tasks.get(timeout=max(0.0, pause))
            except queue.Empty:
                if time.monotonic() < at:
                    self._cut(self._hot)
                else:
                    at = time.monotonic() + min(max(_SHORTEST, self.look() / _SHARE), _LONGEST)
                continue
            if task is None:
                return
            task()


def _last(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(count, file.seek(0, os.SEEK_END)), os.SEEK_END)
        return file.read(count)
