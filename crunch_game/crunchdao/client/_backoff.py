"""How long to wait before trying to connect again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

MIN_SECONDS: Final = 0.1
MAX_SECONDS: Final = 0.5


def delay(attempt: int, chance: Callable[[], float] = random.random) -> float:
    """Return the seconds before the next attempt: from 0.1, growing to at most 0.5, with jitter.

    Args:
        attempt: How many attempts have failed since the last success.
        chance: Returns a number from 0 to 1. The jitter keeps clients from reconnecting in step.
    """
    least = min(MAX_SECONDS * 0.8, MIN_SECONDS * 1.5 ** min(attempt, 10))
    return least * (1 + 0.25 * chance())
