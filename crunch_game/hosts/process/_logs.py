"""Log rotation: what models print is in files of limited size, whose last part is kept in `.1` when they are cut."""

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

MIN_LIMIT_BYTES: Final = 4096
_MAX_NOTICE_BYTES: Final = 100
"""The size of the line that says how much was dropped."""
_MAX_CPU_SHARE: Final = 0.005
"""The share of one core that checking sizes may take."""
_MIN_INTERVAL, _MAX_INTERVAL = 0.1, 5.0
"""Seconds between two checks of all logs."""
_MAX_NAME_BYTES: Final = 200


def file_name(model_id: str) -> str:
    """Return a file name for the id. Two ids never have the same one."""
    name = re.sub(r"[^\w.-]", lambda found: "".join(f"%{byte:02X}" for byte in os.fsencode(found[0])), model_id)
    if len(os.fsencode(name)) <= _MAX_NAME_BYTES:
        return name
    return f"{name[:40]}-{hashlib.sha256(os.fsencode(model_id)).hexdigest()}"


class Log:
    """The file of one output stream. The model's process appends to it; the coordinator reads and cuts it.

    Positions count bytes from the first one that this object saw, so that cutting does not change them. Thread-safe.

    Args:
        path: The file.
        limit: Bytes of the file and its `.1` together.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path = path
        # One half for the file, one for what was cut off.
        self.half = limit // 2
        self.users = 0
        self._older = path.with_name(f"{path.name}.1")
        self._start = 0  # the position of the file's first byte
        self._kept = 0  # how many bytes before that position are in the older file
        self._tail: bytes | None = None  # those bytes, until they are written there
        self._state = threading.Lock()  # never held during a write: readers must not wait for the disk
        self._cutting = threading.Lock()
        self._removed = False

    def open(self) -> int:
        """Return a descriptor with which a process appends to the file."""
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def end(self) -> int:
        """Return the position after the last byte."""
        with self._state, suppress(OSError):
            return self._start + self.path.stat().st_size
        return self._start

    def read(self, begin: int, end: int) -> bytes:
        """Return what was written between two positions, as far as it is kept."""
        with self._state, suppress(OSError), self.path.open("rb") as file:
            file.seek(max(0, begin - self._start))
            recent = file.read(max(0, end - max(begin, self._start)))
            missing = min(self._start - begin, self._kept)
            older = b""
            if missing > 0:
                older = self._tail[-missing:] if self._tail is not None else _last_bytes(self._older, missing)
            return (older + recent)[: max(0, end - begin)]
        return b""

    def append(self, text: str) -> int:
        """Write a text of our own, and return the position before it."""
        end = self.end()
        with suppress(OSError), self.path.open("ab") as file:
            file.write(text.encode(errors="replace"))
        return end

    def cut(self) -> None:
        """If the file is too long, move its last part to `.1` and empty it."""
        with self._cutting, suppress(OSError):
            if not self._removed and self.path.stat().st_size > self.half:
                self._cut()
            elif self._kept == 0 and self._older.exists() and self._older.stat().st_size > self.half:
                self._keep(_last_bytes(self._older, self.half))  # from a run with another limit

    def _cut(self) -> None:
        with self._state, self.path.open("r+b", buffering=0) as file:
            size = seen = os.fstat(file.fileno()).st_size
            tail = os.pread(file.fileno(), self.half, max(0, size - self.half))
            for _ in range(3):  # the process may write meanwhile; what it writes after the last look is lost
                seen, size = size, os.fstat(file.fileno()).st_size
                if size <= seen:
                    break
                tail += os.pread(file.fileno(), self.half, max(seen, size - self.half))
            # The process appends, so that it goes on at the new end.
            file.truncate(0)
            tail = tail[-(self.half - _MAX_NOTICE_BYTES) :]
            # `.1` begins with a whole line, unless its first line is very long.
            whole_lines = tail.find(b"\n", 0, self.half // 2) + 1
            self._tail = tail[whole_lines:]
            self._kept = len(self._tail)
            self._start += size
        dropped = self._start - self._kept
        self._keep(b"[crunch_game] %d bytes before this line were dropped\n" % dropped + self._tail)
        with self._state:
            self._tail = None

    def _keep(self, content: bytes) -> None:
        # Written beside and renamed, so that an operator never reads half a file.
        fresh = self._older.with_name(f"{self._older.name}.new")
        try:
            fresh.write_bytes(content)
            fresh.replace(self._older)
        except OSError:  # the disk is full, so logs must make room
            self._kept = 0
            for path in (fresh, self._older):
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the file and its `.1`."""
        with self._cutting:
            self._removed = True
            for path in (self.path, self._older):
                path.unlink(missing_ok=True)


class LogRotator:
    """A thread that checks the sizes of logs, as often as half a percent of a core allows, and cuts long ones."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._logs: dict[Path, Log] = {}
        self._growing: list[Log] = []  # too long when last checked
        self._users = threading.Lock()
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="crunch_game logs", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and check all logs once more. Blocks meanwhile."""
        self._tasks.put(None)
        self._thread.join()
        self.check()

    def do(self, task: Callable[[], None]) -> None:
        """Run a function on this thread, where it may wait for the disk. It must not raise."""
        self._tasks.put(task)

    def watch(self, path: Path) -> Log:
        """Return the log of this file. It is checked until each caller of this has released it."""
        with self._users:
            log = self._logs.get(path)
            if log is None:
                log = self._logs[path] = Log(path, self._limit)
                log.cut()
            log.users += 1
            return log

    def release(self, log: Log, *, remove: bool) -> None:
        """Stop checking the log, unless others watch it, and cut or remove it."""
        with self._users:
            log.users -= 1
            if log.users:
                return
            self._logs.pop(log.path, None)
        if remove:
            log.remove()
        else:
            log.cut()

    def check(self) -> float:
        """Cut logs that are too long, and return the seconds of CPU time that took."""
        began = time.thread_time()
        self._growing = self._cut(list(self._logs.values()))
        return time.thread_time() - began

    def _cut(self, logs: Iterable[Log]) -> list[Log]:
        """Cut the logs that are too long, and return them."""
        long = []
        for log in logs:
            with suppress(OSError):
                if os.stat(log.path).st_size > log.half:  # noqa: PTH116 - faster, and this runs all the time for thousands of files
                    log.cut()
                    long.append(log)
        return long

    def _run(self) -> None:
        at = time.monotonic() + _MIN_INTERVAL
        while True:
            # Logs that grow fast are checked more often than all the others.
            pause = min(_MIN_INTERVAL, at - time.monotonic()) if self._growing else at - time.monotonic()
            try:
                task = self._tasks.get(timeout=max(0.0, pause))
            except queue.Empty:
                if time.monotonic() < at:
                    self._cut(self._growing)
                else:
                    at = time.monotonic() + min(max(_MIN_INTERVAL, self.check() / _MAX_CPU_SHARE), _MAX_INTERVAL)
                continue
            if task is None:
                return
            task()


def _last_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(-min(count, file.seek(0, os.SEEK_END)), os.SEEK_END)
        return file.read(count)
