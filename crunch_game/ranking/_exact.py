"""Sums without rounding: floats as integers of a power of two, so that a mean is rounded once, by its one division."""

from __future__ import annotations

from collections.abc import Sequence

LOWEST_BIT = 1074
"""Every finite float is an integer multiple of 2**-1074."""


def exact(value: float) -> int:
    """Return the value as a multiple of the smallest positive float."""
    numerator, denominator = value.as_integer_ratio()
    return numerator << (LOWEST_BIT + 1 - denominator.bit_length())


def mean(values: Sequence[float]) -> float:
    """The mean of one finite value or more, rounded once."""
    return sum(map(exact, values)) / (len(values) << LOWEST_BIT)
