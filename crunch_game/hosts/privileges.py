"""Capabilities and limits: what a process gives up for good, whoever its user is."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Final

from crunch_game.hosts.syscalls import function, prctl

__all__ = ["drop_capabilities", "empty_bounding_set", "limit", "no_new_privileges", "volunteer"]

_BOUNDING_DROP: Final = 24
_NO_NEW_PRIVS: Final = 38
_AMBIENT: Final = 47
_AMBIENT_CLEAR: Final = 4
_CAPABILITY_VERSION: Final = 0x20080522


@cache  # for good, and for the processes that are forked from this one
def empty_bounding_set() -> None:
    """Let no program that is executed from now on gain a capability.

    Raises:
        Unavailable: This is not Linux.
    """
    with suppress(OSError):  # EINVAL after the kernel's last; EPERM where there is no right to it, and nothing to lose
        for capability in range(64):
            prctl(_BOUNDING_DROP, capability)


def drop_capabilities() -> None:
    """Give up every capability, in all five sets: root becomes a user who owns many files.

    Raises:
        Unavailable: This is not Linux.
        OSError: The kernel refused to take them.
    """
    empty_bounding_set()
    with suppress(OSError):  # kernels before 4.3 have no ambient set
        prctl(_AMBIENT, _AMBIENT_CLEAR)
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION, 0))
    function("capset", header, ctypes.create_string_buffer(24))


def no_new_privileges() -> None:
    """No program that is executed from now on gains anything: setuid bits and file capabilities are void."""
    prctl(_NO_NEW_PRIVS, 1)


def limit(limits: Mapping[str, int]) -> None:
    """Lower resource limits, by name ("DATA"), soft and hard; a hard limit that is lower already stays.

    The hard limit of processor time is a second above the soft one: at that comes SIGXCPU, which tells what happened.
    """
    for name, value in limits.items():
        which = getattr(resource, f"RLIMIT_{name}", None)
        if which is None:
            continue  # another platform
        hard = resource.getrlimit(which)[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        above = lowest if name != "CPU" else value + 1 if hard == resource.RLIM_INFINITY else min(value + 1, hard)
        resource.setrlimit(which, (lowest, above))


def volunteer() -> None:
    """When the machine runs out of memory, let the kernel end this process before others."""
    with suppress(OSError):
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"1000")
        finally:
            os.close(descriptor)
