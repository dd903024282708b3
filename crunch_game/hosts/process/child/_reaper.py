"""The reaper: finds and kills a process's children, inherited ones too, and knows which are at their end."""

from __future__ import annotations

import os
import signal
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import Final

from crunch_game.sandbox import prctl

_CHILD_SUBREAPER: Final = 36
_PF_EXITING: Final = 0x4


def become_subreaper() -> None:
    """Become a subreaper: descendants whose parent ends become this process's children. Forks do not inherit this."""
    prctl(_CHILD_SUBREAPER, 1)


def child_pids() -> list[int]:
    """Return the pids of this process's children that are not reaped yet, those included that it has inherited."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except FileNotFoundError:  # the kernel lacks CONFIG_PROC_CHILDREN
        return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal() and _is_child(path)]


def _is_child(process: Path) -> bool:
    with suppress(OSError):
        return int((process / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
    return False


def kill(pid: int, spared: Container[int] = ()) -> bool:
    """Kill a child that is not reaped yet, and its process group, so that no member can fork meanwhile.

    A group whose leader is in `spared` is not killed: a child may join any group of its session.

    Returns:
        False if this process may not kill it, since the child has become another user.
    """
    try:
        group = os.getpgid(pid)
        if group != os.getpgrp() and group not in spared:
            os.killpg(group, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
    except PermissionError:
        return False
    return True


def is_exiting(pid: int) -> bool:
    """Whether a process is at its end by itself, or past it; to tell one that only closed its channel."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return True
    return fields[0] in (b"Z", b"X") or bool(int(fields[6]) & _PF_EXITING)
