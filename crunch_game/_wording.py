"""How numbers are written for people."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """The number and what it counts: "1 round", "1,000 rounds"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def mebibytes(size: int) -> str:
    """A number of bytes: "64 MiB", "0.5 MiB"."""
    return f"{size / (1 << 20):g} MiB"
