"""The pipe that models' lives hang on: when its only writer, the coordinator, is gone, the kernel ends them.

The fork server ends its models when the coordinator is gone. Where it is gone too, a model that waits for a call sees
the end of its channel; one that spins would spin for ever, and nobody would be left to end it. The kernel tells who
asked for it that a pipe was hung up, by a signal of one's choice: SIGKILL. It would tell of every byte in the pipe,
too, so models must not be able to write to it: it has a name, which the sandbox does not let them open, and a mode
that lets nobody write.
"""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["NAME", "Lifeline", "hold"]

NAME: Final = "lifeline"


class Lifeline:
    """The coordinator's end, in this folder. While it is open, models live."""

    def __init__(self, folder: Path) -> None:
        self._end: int | None = None
        with suppress(OSError):  # a file system without named pipes: what else ends models must do
            os.mkfifo(folder / NAME, 0o600)
            self._end = os.open(folder / NAME, os.O_RDWR | os.O_NONBLOCK)
            (folder / NAME).chmod(0o400)

    def cut(self) -> None:
        """End the models that hang on it."""
        if self._end is not None:
            os.close(self._end)
            self._end = None


def hold(pipe: str, descriptor: int) -> None:
    """Let this process, and its group, end when the pipe is cut. The descriptor stays open for that, if it can be had.

    Must be called by the leader of the group, before a sandbox that it enters.
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
    with suppress(BlockingIOError):  # nothing to read, but a writer: all is well
        os.read(descriptor, 1)
        os._exit(70)  # it was cut before
