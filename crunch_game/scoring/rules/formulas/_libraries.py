"""numpy and scipy, which come with the extra `scoring`; modules of arrays have them from here.

The rules import those modules when they score, since whoever only names a rule needs no library.
"""

from __future__ import annotations

from typing import TypeAlias

from crunch_game.errors import MissingExtra

try:
    import numpy as np
    from numpy.typing import NDArray
    from scipy import special
except ImportError as _error:
    raise MissingExtra((_error.name or "numpy").partition(".")[0], "scoring") from None

__all__ = ["Array", "np", "special"]

Array: TypeAlias = NDArray[np.float64]
