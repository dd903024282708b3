"""Capabilities and resource limits, which a process gives up permanently, even as root.

What only Linux has is `Unavailable` elsewhere.
"""

from __future__ import annotations

import ctypes
import resource
import struct
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from crunch_game.sandbox._syscalls import function, prctl

_BOUNDING_DROP: Final = 24
_NO_NEW_PRIVS: Final = 38
_AMBIENT: Final = 47
_AMBIENT_CLEAR: Final = 4
_CAPABILITY_VERSION: Final = 0x20080522


@cache  # forked processes inherit the empty set
def empty_bounding_set() -> None:
    """Prevent programs that are executed later from gaining capabilities."""
    with suppress(OSError):  # EINVAL: beyond the kernel's last capability; EPERM: an ordinary user has none to lose
        for capability in range(64):
            prctl(_BOUNDING_DROP, capability)


def drop_capabilities() -> None:
    """Give up all capabilities in all five sets. For root this leaves a user who owns many files.

    Raises:
        OSError: It failed.
    """
    empty_bounding_set()
    with suppress(OSError):  # kernels before 4.3 have no ambient set
        prctl(_AMBIENT, _AMBIENT_CLEAR)
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION, 0))
    function("capset", header, ctypes.create_string_buffer(24))


def no_new_privileges() -> None:
    """Make setuid bits and file capabilities of executed programs void."""
    prctl(_NO_NEW_PRIVS, 1)


def limit(limits: Mapping[str, int]) -> None:
    """Lower resource limits, soft and hard, by name ("DATA"). A hard limit that is lower already stays.

    The hard limit of CPU time is one second above the soft one, at which SIGXCPU makes the process say what happened.
    """
    for name, value in limits.items():
        which = getattr(resource, f"RLIMIT_{name}", None)
        if which is None:
            continue  # another platform
        hard = resource.getrlimit(which)[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        above = lowest if name != "CPU" else value + 1 if hard == resource.RLIM_INFINITY else min(value + 1, hard)
        resource.setrlimit(which, (lowest, above))


def become_oom_victim() -> None:
    """Make this process the first that the kernel kills when the machine runs out of memory."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(b"1000")
