"""A process's children, those too that it inherits from them: to find them, and to end them."""

from __future__ import annotations

import os
import signal
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from typing import Final

from crunch_game.hosts.syscalls import prctl

__all__ = ["adopt", "children", "end"]

_CHILD_SUBREAPER: Final = 36


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
