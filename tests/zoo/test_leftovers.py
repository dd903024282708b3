"""What the zoo counts: each kind of thing that could be left is noticed when it is."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import leftovers
import pytest
from leftovers import nothing_left

pytestmark = pytest.mark.processes


@contextmanager
def process() -> Iterator[None]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield
    child.kill()
    child.wait()


@contextmanager
def orphan() -> Iterator[None]:
    """A process that its parent leaves behind, in a session of its own."""
    program = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)"
    subprocess.run([sys.executable, "-c", program], check=True)
    yield


@contextmanager
def unreaped() -> Iterator[None]:
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    yield


@contextmanager
def descriptor() -> Iterator[None]:
    with Path(os.devnull).open():
        yield


@contextmanager
def thread() -> Iterator[None]:
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="crunch_game something", daemon=True)
    thread.start()
    yield
    end.set()
    thread.join()


@contextmanager
def file() -> Iterator[None]:
    path = Path(tempfile.gettempdir(), "forgotten")
    path.touch()
    yield
    path.unlink()


@contextmanager
def segment() -> Iterator[None]:
    path = Path(f"/dev/shm/crunch_game-{os.getpid()}")
    path.touch()
    yield
    path.unlink()


@contextmanager
def system_v_segment() -> Iterator[None]:
    libc = ctypes.CDLL(None)
    found = libc.shmget(0, 1, 0o1600)
    yield
    libc.shmctl(found, 0, None)


@pytest.mark.parametrize(
    ("leave", "kind"),
    [
        (process, "processes"),
        (orphan, "processes"),
        (unreaped, "processes"),
        (descriptor, "descriptors"),
        (thread, "threads"),
        (file, "files"),
        (segment, "segments"),
        (system_v_segment, "segments"),
    ],
)
def test_what_is_left_is_noticed(leave: Callable, kind: str, monkeypatch) -> None:
    monkeypatch.setattr(leftovers, "PATIENCE", 0.1)
    with ExitStack() as left:
        with pytest.raises(AssertionError) as caught, nothing_left():
            left.enter_context(leave())
        # Other tests use /dev/shm at the same time, and this one waits for none of them.
        noticed = [found for found in caught.value.args[0] if found == kind or found != "segments"]
        assert noticed == [kind], caught.value


def test_what_is_put_away_is_not() -> None:
    with nothing_left(), ExitStack() as left:
        for leave in (process, descriptor, thread, file, segment, system_v_segment):
            left.enter_context(leave())
