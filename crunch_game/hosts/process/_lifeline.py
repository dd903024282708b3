"""A pipe through which the kernel kills models when the coordinator, its only writer, has ended.

Usually the fork server kills its models when the coordinator ends. If the fork server has ended too, a model that waits
for a call still sees the end of its channel, but one that is in an endless loop would run for ever. So each model asks
the kernel to signal it with SIGKILL (F_SETSIG) when the pipe is hung up. A byte in the pipe would have the same effect,
so models must not write to it: its mode forbids that, and the sandbox forbids to open it.
"""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import suppress
from pathlib import Path


class Lifeline:
    """The coordinator's end of the pipe, which is in this folder.

    Attributes:
        path: Where the models find it.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lifeline"
        self._end: int | None = None
        with suppress(OSError):  # the file system has no named pipes; the other ways of ending models remain
            os.mkfifo(self.path, 0o600)
            self._end = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
            self.path.chmod(0o400)

    def cut(self) -> None:
        """Kill the models that hold the other end."""
        if self._end is not None:
            os.close(self._end)
            self._end = None


def hold(pipe: str, descriptor: int) -> None:
    """Let the kernel kill this process, and its group, when the pipe is cut. `descriptor` stays open for that.

    Must be called by the leader of the group, before it enters a sandbox. Does nothing if the pipe does not exist.
    """
    try:
        end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    os.dup2(end, descriptor, inheritable=False)
    os.close(end)
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    with suppress(BlockingIOError):  # empty, and the writer is alive
        os.read(descriptor, 1)
        os._exit(70)  # it was cut before this process asked
