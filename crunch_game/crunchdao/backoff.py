"""How long to wait before trying to connect again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

__all__ = ["LONGEST", "SHORTEST", "delay"]

SHORTEST: Final = 0.1
LONGEST: Final = 0.5


def delay(attempt: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds before the next attempt: from 0.1 on, growing, at most 0.5, and no two clients in step.

    Args:
        attempt: How many have failed since the last success, from 0.
        chance: A number from 0 to 1.
    """
    least = min(LONGEST * 0.8, SHORTEST * 1.5 ** min(attempt, 10))
    return least * (1 + 0.25 * chance())
