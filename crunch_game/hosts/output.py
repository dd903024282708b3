"""The model's side of its logs: what it prints is on disk in time, and a crash or a hang leaves its frames there."""

from __future__ import annotations

import ctypes
import faulthandler
import io
import os
import signal
import sys
from contextlib import suppress
from textwrap import indent
from typing import Final

from crunch_game.faults import own_frames, said

__all__ = ["FAREWELL", "LOOK", "REMARK", "fail", "flush", "point", "prepare"]

REMARK: Final = "[crunch_game] "
"""What each line of ours in a model's log begins with."""
FAREWELL: Final = "the model's process ends: "
"""What the first begins with that say why it ended by itself: the error, and from the next on the model's frames."""

LOOK: Final = signal.SIGWINCH
"""Makes a model's process write to its stderr where it is. Without our handler the kernel would ignore it."""

_LINE_BUFFERED: Final = 1  # _IOLBF
_streams: list[io.TextIOWrapper] = []


def prepare() -> None:
    """Do once what every forked process inherits; for a single-threaded process, after its last import."""
    for stream in (sys.stdout, sys.stderr):  # what imports printed is not the models' to print again
        stream.flush()
    libc = ctypes.CDLL(None)
    libc.fflush(None)
    libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, _LINE_BUFFERED, 0)
    # Only the thread that is hit: to walk another's frames while it runs may crash.
    faulthandler.enable(file=2, all_threads=False)
    faulthandler.register(LOOK, file=2, all_threads=False)
    faulthandler.register(signal.SIGXCPU, file=2, all_threads=False, chain=True)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nobody types ^C here; an exception would look like the model's own


def point(out: int, err: int) -> None:
    """Point stdin, stdout and stderr of a forked process elsewhere."""
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(line_buffering=True)
        _streams.append(stream)


def flush() -> None:
    """Write what the model printed without ending the line."""
    for stream in _streams:
        with suppress(ValueError, OSError):  # it closed the stream, or the disk is full
            stream.flush()


def fail() -> None:
    """Leave in the log why our own code in this process cannot go on."""
    error = sys.exc_info()[1]
    reason, frames = (said(error), own_frames(error)) if error else ("it was told to", None)
    text = f"{FAREWELL}{' '.join(reason.split())}\n{frames or ''}".rstrip()
    with suppress(OSError):
        os.write(2, f"{indent(text, REMARK, lambda line: True)}\n".encode())
