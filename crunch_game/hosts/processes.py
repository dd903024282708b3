"""Whether a process still lives, told by the kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["is_exiting"]

_EXITING: Final = 0x4  # PF_EXITING


def is_exiting(pid: int) -> bool:
    """Whether the process is at its end by itself, or past it; to tell one that only closed its channel."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return True
    return fields[0] in (b"Z", b"X") or bool(int(fields[6]) & _EXITING)
