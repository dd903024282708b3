"""Densities: plain dicts in the format of the `densitypdf` package, as models return them.

With the annotation `def predict(...) -> list[Density]`, pydantic checks answers. This module needs no pydantic, numpy
or scipy itself, because every model process imports it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from reprlib import repr as brief
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypeAlias

from typing_extensions import TypedDict  # before Python 3.12, pydantic refuses the one of typing

from crunch_game.scoring.answers._density_schemas import MAX_COMPONENTS, Families, listed, shape_schema
from crunch_game.scoring.answers._families import FAMILIES, LARGEST, SMALLEST_SCALE, Family


class NormalParams(TypedDict):
    """Mean and standard deviation."""

    loc: float
    scale: float


class Normal(TypedDict):
    """A normal distribution. `step` is the step of the horizon that it is for, in seconds."""

    type: Literal["builtin"]
    name: Literal["norm"]
    params: NormalParams
    step: NotRequired[float]


class Builtin(TypedDict):
    """A density of one of FAMILIES that `densitypdf` knows without scipy. All its parameters are required."""

    type: Literal["builtin"]
    name: Literal["t", "laplace", "expon", "lognorm", "gamma", "beta"]
    params: Mapping[str, float]
    step: NotRequired[float]


class Scipy(TypedDict):
    """A density of one of FAMILIES, with the keyword arguments of `scipy.stats`: `loc` is 0 and `scale` 1 unless given.

    Shape parameters, such as the "df" of "t", are required.
    """

    type: Literal["scipy"]
    name: str
    params: Mapping[str, float]
    step: NotRequired[float]


class Component(TypedDict):
    """One density of a mixture. Weights need not sum to one."""

    density: Density
    weight: float


class Mixture(TypedDict):
    """A weighted mixture of densities, which may be mixtures themselves."""

    type: Literal["mixture"]
    components: list[Component]
    step: NotRequired[float]


Density: TypeAlias = Annotated[Normal | Builtin | Scipy | Mixture, Families(*FAMILIES)]
"""A forecast of one number: a normal, a density of one of FAMILIES, or a mixture of densities."""


def _checks_itself(shape: Any, name: str) -> None:
    """Make pydantic check this TypedDict as it checks that part of a density, where it is an annotation of its own."""
    shape.__get_pydantic_core_schema__ = lambda source, handler: shape_schema(name)


for _shape in (Normal, Builtin, Scipy, Component, Mixture):
    _checks_itself(_shape, _shape.__name__.lower())


class Part(NamedTuple):
    """One density of a mixture that was flattened.

    Attributes:
        weight: Of its share; all shares of a mixture sum to one.
        family: Its name, in FAMILIES.
        parameters: In the order of the family's `parameters`: shapes, loc, scale.
    """

    weight: float
    family: str
    parameters: tuple[float, ...]


def normal(loc: float, scale: float, step: float | None = None) -> Normal:
    """Return the normal distribution with this mean and standard deviation.

    Args:
        loc: The mean.
        scale: The standard deviation; positive.
        step: The step that it is for, in seconds, if the game asks for that.

    Raises:
        ValueError: A number is not finite or outside the range that is admitted, or the scale is not positive.
    """
    density: Normal = {
        "type": "builtin",
        "name": "norm",
        "params": {"loc": _bounded(loc, "loc", -LARGEST, LARGEST), "scale": _scale(scale)},
    }
    if step is not None:
        density["step"] = float(step)
    return density


def density(name: str, *, step: float | None = None, **params: float) -> Scipy:
    """Return the density of one of FAMILIES with these parameters: `density("t", df=4, scale=0.5)`.

    Args:
        name: The family's, as in `scipy.stats`.
        step: The step that it is for, in seconds, if the game asks for that.
        params: Its shapes, and `loc` and `scale` where they are not 0 and 1.

    Raises:
        ValueError: The family is not known, or its parameters are not right.
    """
    family, values = _parameters({"type": "scipy", "name": name, "params": params})
    made: Scipy = {"type": "scipy", "name": name, "params": dict(zip(family.parameters, values, strict=True))}
    if step is not None:
        made["step"] = float(step)
    return made


def mixture(components: Sequence[tuple[float, Density]], step: float | None = None) -> Mixture:
    """Return the mixture of these weighted densities. Weights need not sum to one.

    Raises:
        ValueError: There are no components or more than MAX_COMPONENTS, a weight is negative or not finite,
            or all are zero.
    """
    if len(components) > MAX_COMPONENTS:
        raise ValueError(_TOO_MANY)
    _normalized([weight for weight, _ in components])
    density: Mixture = {
        "type": "mixture",
        "components": [{"density": each, "weight": float(weight)} for weight, each in components],
    }
    if step is not None:
        density["step"] = float(step)
    return density


def as_components(density: Density) -> list[Part]:
    """Return the densities that a density is a mixture of; nested mixtures are flattened.

    Weights are normalised to sum to one; components with weight zero are left out. Any other density is a mixture of
    one.

    Raises:
        ValueError: It is not a density, its family is not one of FAMILIES, or it has more than MAX_COMPONENTS.
    """
    parts = []
    for weight, each in _leaves(density):
        family, values = _parameters(each)
        parts.append(Part(weight, family.name, values))
    return parts


def as_normal_mixture(density: Density) -> tuple[list[float], list[float], list[float]]:
    """Return the weights, means and standard deviations of a density's normals; nested mixtures are flattened.

    Weights are normalised to sum to one; components with weight zero are left out. A normal is a mixture of one.
    Scipy's "norm" is a normal, by default with `loc` 0 and `scale` 1.

    Raises:
        ValueError: It is not a density, not a normal or mixture of normals, or has more than MAX_COMPONENTS of them.
    """
    weights: list[float] = []
    locs: list[float] = []
    scales: list[float] = []
    for weight, each in _leaves(density):
        family, values = _parameters(each)
        if family.name != "norm":
            raise ValueError(
                f"{family.name!r} is not a normal distribution; this rule scores normals and mixtures of them"
            )
        weights.append(weight)
        locs.append(values[0])
        scales.append(values[1])
    return weights, locs, scales


_TOO_MANY = f"a mixture has at most {MAX_COMPONENTS} components"


def _leaves(density: Any) -> Iterator[tuple[float, Any]]:
    """Yield what is no mixture itself, with its share; a density without weight is not looked at."""
    waiting: list[tuple[float, Any]] = [(1.0, density)]
    found = 0
    # No recursion: a model may nest mixtures deeper than the stack allows.
    while waiting:
        weight, each = waiting.pop()
        if _get(each, "type") == "mixture":
            waiting += reversed(_components(each, weight))
            if len(waiting) + found > MAX_COMPONENTS:
                raise ValueError(_TOO_MANY)
            continue
        found += 1
        yield weight, each


def _components(density: Any, weight: float) -> list[tuple[float, Any]]:
    """Return the components of a mixture, and divide its weight among them."""
    components = _get(density, "components")
    if not isinstance(components, list | tuple):
        raise ValueError(f'the "components" of a mixture are a list, not {brief(components)}')
    if len(components) > MAX_COMPONENTS:
        raise ValueError(_TOO_MANY)
    weights = [_get(component, "weight") for component in components]
    return [
        (weight * share, _get(component, "density"))
        for share, component in zip(_normalized(weights), components, strict=True)
        if weight * share > 0
    ]


def _parameters(density: Any) -> tuple[Family, tuple[float, ...]]:
    """Return the family of a density that is no mixture, and its parameters in the family's order."""
    kind, name, params = _get(density, "type"), _get(density, "name"), _get(density, "params")
    if kind not in ("builtin", "scipy"):
        raise ValueError(f'the "type" of a density is "builtin", "scipy" or "mixture", not {brief(kind)}')
    family = FAMILIES.get(name) if isinstance(name, str) else None
    if family is None or (kind == "builtin" and not family.builtin):
        raise ValueError(f"{brief(name)} is not one of the families of {kind} densities: {listed(_names(kind))}")
    if kind == "scipy" and isinstance(params, dict):
        params = {"loc": 0.0, "scale": 1.0, **params}
    values = [_bounded(_get(params, shape), shape, least, most, "") for shape, (least, most) in family.shapes.items()]
    values += _bounded(_get(params, "loc"), "loc", -LARGEST, LARGEST), _scale(_get(params, "scale"))
    if len(params) > len(values):
        raise ValueError(f'"{name}" has the parameters {listed(family.parameters)}, not {listed(params)}')
    return family, tuple(values)


def _names(kind: str) -> list[str]:
    return [name for name, family in FAMILIES.items() if family.builtin or kind == "scipy"]


def _scale(value: Any) -> float:
    scale = _number(value, "scale")
    if scale <= 0:
        raise ValueError(f"scale must be greater than 0, got {value!r}")
    return _bounded(scale, "scale", SMALLEST_SCALE, LARGEST)


def _bounded(
    value: Any, what: str, least: float, most: float, why: str = ", the range that double precision can tell"
) -> float:
    number = _number(value, what)
    if not least <= number <= most:
        raise ValueError(f"{what} must be a number from {least:g} to {most:g}{why}, got {value!r}")
    return number


def _normalized(weights: Sequence[Any]) -> list[float]:
    """Scale the weights to sum to one."""
    if not weights:
        raise ValueError("a mixture has at least one component")
    numbers = [_number(weight, "weight") for weight in weights]
    if min(numbers) < 0:
        raise ValueError(f"weight must not be negative, got {min(numbers)!r}")
    largest = _bounded(max(numbers), "weight", 0.0, LARGEST)
    if largest == 0:
        raise ValueError("at least one weight must be greater than 0")
    relative = [number / largest for number in numbers]  # the sum of large ones would overflow
    total = math.fsum(relative)
    return [number / total for number in relative]


def _number(value: Any, what: str) -> float:
    try:
        number = float(value) if not isinstance(value, str | bool) else math.nan
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{what} must be a finite number, got {brief(value)}")
    return number


def _get(part: Any, key: str) -> Any:
    if not isinstance(part, dict):
        raise ValueError(f'a dict with the key "{key}" belongs here, not {brief(part)}')
    if key not in part:
        raise ValueError(f'the key "{key}" is missing in {brief(part)}')
    return part[key]
