"""How numbers of things are said to people."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, thing: str) -> str:
    """The number and what it counts: "1 round", "1,000 rounds"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
