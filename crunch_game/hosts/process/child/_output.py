"""A model's stdout and stderr, in its process: redirected to its logs, with a traceback of every crash or hang."""

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

from crunch_game.faults import describe_exception, own_frames

NOTE_PREFIX: Final = "[crunch_game] "
"""Begins every line that we write to a model's log."""
FATAL_PREFIX: Final = "the model's process ends: "
"""Begins, after NOTE_PREFIX, the error for which our own code ended the process; the model's frames follow."""
DUMP_SIGNAL: Final = signal.SIGWINCH
"""Makes a model's process write its traceback to stderr. A process without our handler ignores this signal."""

_LINE_BUFFERED: Final = 1  # _IOLBF
_streams: list[io.TextIOWrapper] = []


def prepare() -> None:
    """Set up what forked processes inherit. For a process with one thread, after its last import."""
    for stream in (sys.stdout, sys.stderr):  # else each fork would write what imports have printed
        stream.flush()
    # Native code writes to the C library's stdout. It must be flushed before a fork too, and by line after it.
    libc = ctypes.CDLL(None)
    libc.fflush(None)
    libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, _LINE_BUFFERED, 0)
    # Only the thread that got the signal: reading the frames of another one while it runs may crash.
    faulthandler.enable(file=2, all_threads=False)
    faulthandler.register(DUMP_SIGNAL, file=2, all_threads=False)
    faulthandler.register(signal.SIGXCPU, file=2, all_threads=False, chain=True)
    # ^C is meant for the coordinator, and a KeyboardInterrupt here would look like the model's own exception.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def redirect(out: int, err: int) -> None:
    """Redirect stdout and stderr of a forked process to these descriptors, and stdin to nothing."""
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(line_buffering=True)
        _streams.append(stream)


def flush() -> None:
    """Write what the model printed without a newline."""
    for stream in _streams:
        with suppress(ValueError, OSError):  # the model closed the stream, or the disk is full
            stream.flush()


def report_fatal_error() -> None:
    """Write to the log why our own code in this process cannot go on: the exception that is being handled."""
    error = sys.exc_info()[1]
    reason, frames = (describe_exception(error), own_frames(error)) if error else ("it was told to", None)
    text = f"{FATAL_PREFIX}{' '.join(reason.split())}\n{frames or ''}".rstrip()
    with suppress(OSError):
        # Not through sys.stderr, which the model may have closed or replaced.
        os.write(2, f"{indent(text, NOTE_PREFIX, lambda line: True)}\n".encode())
