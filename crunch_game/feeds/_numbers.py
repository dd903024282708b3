"""What counts as a number: of Python, of numpy, Decimal, or written as text."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Real
from typing import Any

NUMERIC = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
"""A number as people write it, finite or not. `float` accepts 1_000 too, and the digits of other scripts."""


def number(value: object) -> float | None:
    """Return a value as a float, be it an int, float, Decimal, numpy scalar or numeric text; None if it is no number.

    A bool is none, nor is what is not finite.
    """
    if type(value) is float:
        return value if math.isfinite(value) else None
    value = plain_scalar(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and NUMERIC.fullmatch(value) is None:
        return None
    if isinstance(value, float | int | str | Decimal | Real):
        try:
            found = float(value)
        except (ValueError, OverflowError):  # a signaling NaN; an int beyond what a float can be
            return None
        return found if math.isfinite(found) else None
    return None


def plain_scalar(value: Any) -> Any:
    """Convert a scalar of numpy, or of a library like it, to Python's type; return anything else as it is."""
    if getattr(value, "shape", None) != () or not hasattr(value, "tolist"):
        return value
    plain = in_microseconds(value).tolist()
    return float(plain) if type(plain) is type(value) else plain  # a long double has no type of Python's


def in_microseconds(value: Any) -> Any:
    """Return a scalar or array of numpy's times in microseconds: `tolist` would turn finer ones into integers."""
    if type(value).__module__ == "numpy" and value.dtype.kind in ("m", "M"):
        return value.astype(f"{value.dtype.kind}8[us]")
    return value
