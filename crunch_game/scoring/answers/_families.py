"""The families of densities that a model may name and the rules can score: their parameters, and where they live."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["FAMILIES", "LARGEST", "SMALLEST_SCALE", "Family"]

LARGEST = 1e300
"""The largest |loc| and scale that are admitted: beyond them the products of two parameters leave double precision."""
SMALLEST_SCALE = 1e-300
"""The smallest scale that is admitted: below 2.2e-308 numbers lose their digits, and one over the scale overflows."""


class Family(NamedTuple):
    """A family of continuous distributions: `loc + scale * Z`, where Z has the standard form.

    Attributes:
        name: As `scipy.stats` has it, and the "name" of a density.
        shapes: The shape parameters by name, all of them required, each with the least and the most that is admitted.
        support: Where the density of the standard form is, from and to.
        builtin: Whether `densitypdf` knows it without scipy, as "type": "builtin".
    """

    name: str
    shapes: Mapping[str, tuple[float, float]]
    support: tuple[float, float]
    builtin: bool

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of all parameters: the shapes in the order in which scipy takes them, "loc" and "scale"."""
        return (*self.shapes, "loc", "scale")


_LINE = (-float("inf"), float("inf"))
_HALF_LINE = (0.0, float("inf"))

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.name: family
        for family in (
            Family("norm", {}, _LINE, True),
            # Of smaller shapes, much of the probability is nearer to an end, or farther out, than doubles can be.
            Family("t", {"df": (0.1, 1e6)}, _LINE, True),
            Family("logistic", {}, _LINE, False),
            Family("laplace", {}, _LINE, True),
            Family("uniform", {}, (0.0, 1.0), False),
            Family("expon", {}, _HALF_LINE, True),
            # The mean is exp(s²/2).
            Family("lognorm", {"s": (1e-6, 30.0)}, _HALF_LINE, True),
            Family("gamma", {"a": (0.1, 1e6)}, _HALF_LINE, True),
            Family("beta", {"a": (0.1, 1e6), "b": (0.1, 1e6)}, (0.0, 1.0), True),
        )
    }
)
"""Every family that a model may name, by name; see Family."""
