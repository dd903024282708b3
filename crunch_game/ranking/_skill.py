"""Skill: how much better an answer was than the others, in units of what is usually lost. RANKING's formulas, pure.

Where a function calls losses `ordered`, they are in ascending order, an infinite one for an answer that has no score.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MOST = 10.0
"""Skill is between -MOST and MOST."""
FULL = 3
"""So few answers have a median that no single one of them can move at will."""


def entry_of(ordered: Sequence[float]) -> float | None:
    """What a round tells of the usual loss: its median; of one or two answers the lower. None if that is not finite."""
    if not ordered:
        return None
    entry = ordered[0] if len(ordered) < FULL else middle(ordered)
    return entry if math.isfinite(entry) else None


def middle(ordered: Sequence[float]) -> float:
    """The median of one value or more."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else _between(ordered[half - 1], ordered[half])


def padded(ordered: Sequence[float], usual: float) -> float:
    """The median, of at least three values: the usual loss stands in for what is missing."""
    if len(ordered) >= FULL:
        return middle(ordered)
    return middle(sorted([*ordered, *[usual] * (FULL - len(ordered))]))


def absence(reference: float, unit: float, *, usual: bool) -> float:
    """The skill of who should have answered and did not; in a unit of the rule's own whatever the round was like."""
    return -2.0 * max(1.0, min(5.0, reference / unit)) if usual else -2.0


def skills(losses: Sequence[float], reference: float, unit: float) -> list[float]:
    """The skill of each answer against one reference, which is the same for all."""
    return [max(-MOST, min(MOST, (reference - loss) / unit)) for loss in losses]


def skills_among(losses: Sequence[float], ordered: Sequence[float], usual: float, unit: float) -> list[float]:
    """The skill of each answer, of a finite loss, against the median of the others.

    Args:
        losses: The finite ones, in any order.
        ordered: All of the round's losses.
        usual: The usual loss.
        unit: What skill is measured in.
    """
    count = len(ordered)
    if count <= FULL:
        return [skills([loss], padded(_without(ordered, loss), usual), unit)[0] for loss in losses]
    # The median of the others is one of two or three numbers, by where in the order an answer stands.
    at = (count - 2) // 2
    if count % 2 == 0:
        low = high = ordered[at]
        under, among, over = ordered[at + 1], ordered[at + 1], ordered[at]
    else:
        low, high, top = ordered[at], ordered[at + 1], ordered[at + 2]
        under, among, over = _between(high, top), _between(low, top), _between(low, high)
    ratios = [((under if loss <= low else among if loss <= high else over) - loss) / unit for loss in losses]
    if ratios and min(ratios) >= -MOST and max(ratios) <= MOST:  # as nearly always
        return ratios
    return [max(-MOST, min(MOST, ratio)) for ratio in ratios]


def _without(ordered: Sequence[float], loss: float) -> list[float]:
    others = list(ordered)
    others.remove(loss)
    return others


def _between(low: float, high: float) -> float:
    """The mean of two values, also where their sum is too large for a float."""
    mean = (low + high) / 2
    return mean if math.isfinite(mean) else low / 2 + high / 2
