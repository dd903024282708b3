"""An answer as numbers that can be compared: what is written in another way, and means the same, has the same ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from reprlib import repr as brief
from typing import Any, NamedTuple

_NEGLIGIBLE = 1e-3
"""The weight of a component that is left out: it hardly shows in a score, and would rule the moments from far away."""

_DENSITIES = ("builtin", "scipy", "mixture")


class Likeness(NamedTuple):
    """An answer as numbers.

    Attributes:
        shape: All of the answer that is no number.
        numbers: In the order of the shape; of a density its moments, in the data's unit.
        groups: How many numbers each group has that is measured in one unit: a density, or a list of numbers.
    """

    shape: tuple[Any, ...]
    numbers: tuple[float, ...]
    groups: tuple[int, ...]

    @property
    def kind(self) -> tuple[Any, ...]:
        """Only answers of one kind can be near."""
        return self.shape, self.groups


def likeness(answer: Any) -> Likeness:
    """Return an answer of types that JSON has, as numbers.

    A density is its moments: components may come in any order, nested or not, with weights of any sum, and normals as
    "builtin" or as "scipy". The step that it says it is for does not count: its place in the answer tells.
    """
    shape: list[Any] = []
    numbers: list[float] = []
    groups: list[int] = []
    waiting = [(answer, True)]
    while waiting:  # no recursion: a model may nest deeper than the stack allows
        part, may_be_density = waiting.pop()
        if isinstance(part, dict):
            looks_like_one = may_be_density and part.get("type") in _DENSITIES
            parts = _components(part) if looks_like_one else None
            if parts:
                _describe(parts, shape, numbers, groups)
                continue
            names = sorted(part, key=str)
            shape.append(("{}", *names))
            # What is in a density that is none is not looked at again: that would take the square of its depth.
            waiting += [(part[name], may_be_density and not looks_like_one) for name in reversed(names)]
        elif isinstance(part, list | tuple):
            shape.append(("[]", len(part)))
            found = [number for each in part if (number := _finite(each)) is not None]
            if part and len(found) == len(part):
                numbers += found
                groups.append(len(found))
            else:
                waiting += [(each, may_be_density) for each in reversed(part)]
        elif (number := _finite(part)) is not None:
            numbers.append(number)
            groups.append(1)
        else:
            shape.append((type(part).__name__, part if isinstance(part, str | bool) else brief(part)))
    return Likeness(tuple(shape), tuple(numbers), tuple(groups))


class _Single(NamedTuple):
    """A component that is no mixture."""

    weight: float
    family: str
    loc: float
    scale: float
    others: tuple[tuple[str, float], ...]


def _components(density: dict[str, Any]) -> list[_Single] | None:
    """A density's components, flat, sorted, those that can be neglected left out; None if it is no density."""
    found: list[_Single] = []
    waiting: list[tuple[float, Any]] = [(1.0, density)]
    while waiting:
        weight, each = waiting.pop()
        if not isinstance(each, dict):
            return None
        if each.get("type") == "mixture":
            shares = _shares(each.get("components"))
            if shares is None:
                return None
            waiting += [(weight * share, part) for share, part in shares]
        else:
            part = _part(weight, each)
            if part is None:
                return None
            found.append(part)
    kept = [part for part in found if part.weight >= _NEGLIGIBLE]
    if math.fsum(part.weight for part in kept) < 0.5:  # of many equal ones none can be neglected
        kept = found
    total = math.fsum(part.weight for part in kept)
    return sorted(_Single(part.weight / total, part.family, part.loc, part.scale, part.others) for part in kept)


def _shares(components: Any) -> list[tuple[float, Any]] | None:
    if not isinstance(components, list) or not all(isinstance(each, dict) for each in components):
        return None
    weights = [_finite(each.get("weight")) for each in components]
    largest = max((weight for weight in weights if weight is not None), default=0.0)
    if largest <= 0 or any(weight is None or weight < 0 for weight in weights):
        return None
    relative = [weight / largest for weight in weights if weight is not None]
    total = math.fsum(relative)
    pairs = zip(relative, components, strict=True)
    return [(weight / total, each.get("density")) for weight, each in pairs if weight > 0]


def _part(weight: float, density: dict[str, Any]) -> _Single | None:
    given, name = density.get("params"), density.get("name")
    if density.get("type") not in _DENSITIES or not isinstance(given, dict) or not isinstance(name, str):
        return None
    params = {str(key): number for key, value in given.items() if (number := _finite(value)) is not None}
    if len(params) < len(given):
        return None
    loc, scale = params.pop("loc", 0.0), params.pop("scale", 1.0)
    return _Single(weight, name, loc, scale, tuple(sorted(params.items())))


def _describe(parts: Sequence[_Single], shape: list[Any], numbers: list[float], groups: list[int]) -> None:
    """Add a density: its first four moments as if all components were normal, and what else its families have."""
    families = sorted({(part.family, *(name for name, _ in part.others)) for part in parts})
    found = _moments([(part.weight, part.loc, part.scale) for part in parts])
    if not all(map(math.isfinite, found)):
        shape.append(("density", *parts))  # beyond floats: equal or not
        return
    shape.append(("density", *families))
    numbers += found
    groups.append(len(found))
    for family, *names in families if len(parts) > 1 or parts[0].others else ():
        alike = [part for part in parts if (part.family, *(name for name, _ in part.others)) == (family, *names)]
        others = [_mean((part.weight, dict(part.others)[name]) for part in alike) for name in names]
        if len(families) > 1:
            others.append(math.fsum(part.weight for part in alike))
        numbers += others
        groups += [1] * len(others)


def _moments(parts: Sequence[tuple[float, float, float]]) -> tuple[float, ...]:
    """The mean, the standard deviation, and the third and fourth moment by its square and cube: all in one unit."""
    if len(parts) == 1:
        [(_, loc, scale)] = parts
        return loc, scale, 0.0, 3 * scale
    mean = _mean((weight, loc) for weight, loc, _ in parts)
    reach = max(max(abs(loc - mean), scale) for _, loc, scale in parts)
    if not 0 < reach < math.inf:
        return mean, reach, 0.0, 3 * reach
    near = [(weight, (loc - mean) / reach, scale / reach) for weight, loc, scale in parts]
    second = math.fsum(w * (d * d + s * s) for w, d, s in near)
    third = math.fsum(w * d * (d * d + 3 * s * s) for w, d, s in near)
    fourth = math.fsum(w * (d**4 + 6 * d * d * s * s + 3 * s**4) for w, d, s in near)
    deviation = math.sqrt(second)
    return mean, reach * deviation, reach * third / second, reach * fourth / (second * deviation)


def _mean(weighted: Iterable[tuple[float, float]]) -> float:
    pairs = list(weighted)
    try:
        return math.fsum(w * x for w, x in pairs) / math.fsum(w for w, _ in pairs)
    except OverflowError:
        return math.inf


def _finite(value: Any) -> float | None:
    if type(value) is float:  # nearly all are
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
