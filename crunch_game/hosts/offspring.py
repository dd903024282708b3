"""What the kernel knows of processes: which are this one's children, inherited ones too, and which are at their end."""

from __future__ import annotations

import os
import signal
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import Final

from crunch_game.hosts.syscalls import prctl

__all__ = ["adopt", "children", "end", "is_exiting"]

_CHILD_SUBREAPER: Final = 36
_PF_EXITING: Final = 0x4


def adopt() -> None:
    """From now on, whoever below this process loses its parent becomes this process's child. Not inherited by forks."""
    prctl(_CHILD_SUBREAPER, 1)


def children() -> list[int]:
    """This process's children, those that it inherited too; only who is reaped is not among them."""
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except FileNotFoundError:  # the kernel lacks CONFIG_PROC_CHILDREN
        return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal() and _is_child(path)]


def _is_child(process: Path) -> bool:
    with suppress(OSError):
        return int((process / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
    return False


def end(pid: int, spared: Container[int] = ()) -> bool:
    """Kill a child that is not reaped yet, and its group with it, which forks nothing behind the signal.

    A group whose leader is spared is: one may join any group of its session. Whether it is in this process's power:
    a child may have become another user.
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
