"""Densities as models answer them: plain dicts in the format of the `densitypdf` package.

An author annotates `def predict(...) -> list[Density]`, and pydantic refuses what is none. Every model process
imports this, so it needs no pydantic, numpy or scipy itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from reprlib import repr as brief
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from annotated_types import Ge, Gt, Len
from typing_extensions import TypedDict  # typing's own is refused by pydantic before Python 3.12

__all__ = [
    "MAX_COMPONENTS",
    "Component",
    "Density",
    "Mixture",
    "Normal",
    "NormalParams",
    "Scipy",
    "as_normal_mixture",
    "mixture",
    "normal",
]

MAX_COMPONENTS = 128
"""Normals that one mixture may have, nested ones counted: scoring costs their square in time and memory."""


class _ByType:
    """Tells pydantic to choose the shape by the key "type", so that its messages speak of that shape only."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        shapes = {"builtin": Normal, "scipy": Scipy, "mixture": Mixture}
        choices = {name: handler.generate_schema(shape) for name, shape in shapes.items()}
        return core_schema.tagged_union_schema(choices, discriminator="type")


class _Also:
    """Tells pydantic of one more check, which raises a ValueError."""

    def __init__(self, check: Callable[[Any], None]) -> None:
        self._check = check

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: Any) -> Any:
        self._check(value)
        return value


def _check_scale(params: Mapping[str, float]) -> None:
    if not params.get("scale", 1.0) > 0:
        raise ValueError(f"scale must be greater than 0, got {params['scale']!r}")


def _check_weights(components: Sequence[Mapping[str, Any]]) -> None:
    if not any(component["weight"] > 0 for component in components):
        raise ValueError("at least one weight must be greater than 0")


class NormalParams(TypedDict):
    """Mean and standard deviation."""

    loc: float
    scale: Annotated[float, Gt(0)]


class Normal(TypedDict):
    """A normal distribution. `step` says which step of the horizon it is for, in seconds."""

    type: Literal["builtin"]
    name: Literal["norm"]
    params: NormalParams
    step: NotRequired[Annotated[float, Gt(0)]]


class Scipy(TypedDict):
    """A continuous distribution of `scipy.stats` by its name, with its keyword arguments."""

    type: Literal["scipy"]
    name: str
    params: Annotated[dict[str, float], _Also(_check_scale)]
    step: NotRequired[Annotated[float, Gt(0)]]


class Component(TypedDict):
    """One density of a mixture. Weights need not sum to one."""

    density: Density
    weight: Annotated[float, Ge(0)]


class Mixture(TypedDict):
    """A weighted mixture of densities, which may be mixtures themselves."""

    type: Literal["mixture"]
    components: Annotated[list[Component], Len(1, MAX_COMPONENTS), _Also(_check_weights)]
    step: NotRequired[Annotated[float, Gt(0)]]


Density: TypeAlias = Annotated[Normal | Scipy | Mixture, _ByType()]

for _shape in (NormalParams, Normal, Scipy, Component, Mixture):
    setattr(_shape, "__pydantic_config__", {"extra": "forbid"})  # noqa: B010 — a TypedDict's body may hold no values


def normal(loc: float, scale: float, step: float | None = None) -> Normal:
    """The normal distribution with this mean and standard deviation.

    Args:
        loc: The mean.
        scale: The standard deviation; positive.
        step: Seconds of the step that it is for, where the game asks for that.

    Raises:
        ValueError: A number is not finite, or the scale is not positive.
    """
    loc, scale = _checked_normal(loc, scale)
    density: Normal = {"type": "builtin", "name": "norm", "params": {"loc": loc, "scale": scale}}
    if step is not None:
        density["step"] = float(step)
    return density


def mixture(components: Sequence[tuple[float, Density]], step: float | None = None) -> Mixture:
    """The mixture of these densities, each with its weight; weights need not sum to one.

    Raises:
        ValueError: There are no components or more than MAX_COMPONENTS, a weight is negative or not finite,
            or all are zero.
    """
    if len(components) > MAX_COMPONENTS:
        raise ValueError(_TOO_MANY)
    _shares([weight for weight, _ in components])
    density: Mixture = {
        "type": "mixture",
        "components": [{"density": each, "weight": float(weight)} for weight, each in components],
    }
    if step is not None:
        density["step"] = float(step)
    return density


def as_normal_mixture(density: Density) -> tuple[list[float], list[float], list[float]]:
    """The density as weights, means and standard deviations of normals, nested mixtures flattened.

    Weights are normalised to sum to one; components whose weight is zero are left out. A normal is a mixture of
    one; scipy's "norm" is a normal, its `loc` 0 and `scale` 1 unless given.

    Raises:
        ValueError: It is no density, or no (mixture of) normals, or has more than MAX_COMPONENTS of them.
    """
    weights: list[float] = []
    locs: list[float] = []
    scales: list[float] = []
    waiting: list[tuple[float, Any]] = [(1.0, density)]
    while waiting:
        weight, each = waiting.pop()
        if _get(each, "type") == "mixture":
            waiting += reversed(_components(each, weight))
            if len(waiting) + len(weights) > MAX_COMPONENTS:
                raise ValueError(_TOO_MANY)
            continue
        loc, scale = _normal_parameters(each)
        weights.append(weight)
        locs.append(loc)
        scales.append(scale)
    return weights, locs, scales


_TOO_MANY = f"a mixture has at most {MAX_COMPONENTS} components"


def _components(density: Any, weight: float) -> list[tuple[float, Any]]:
    """The parts of a mixture that share its weight."""
    components = _get(density, "components")
    if not isinstance(components, list | tuple):
        raise ValueError(f'the "components" of a mixture are a list, not {brief(components)}')
    weights = [_get(component, "weight") for component in components]
    return [
        (weight * share, _get(component, "density"))
        for share, component in zip(_shares(weights), components, strict=True)
        if share > 0
    ]


def _normal_parameters(density: Any) -> tuple[float, float]:
    kind, name, params = _get(density, "type"), _get(density, "name"), _get(density, "params")
    if kind not in ("builtin", "scipy"):
        raise ValueError(f'the "type" of a density is "builtin", "scipy" or "mixture", not {brief(kind)}')
    if name != "norm":
        raise ValueError(f"{brief(name)} is not a normal distribution; this rule scores normals and mixtures of them")
    if kind == "scipy" and isinstance(params, dict):
        params = {"loc": 0.0, "scale": 1.0, **params}
    loc, scale = _get(params, "loc"), _get(params, "scale")
    if len(params) > 2:
        raise ValueError(f'"norm" has the parameters "loc" and "scale", not {", ".join(map(brief, params))}')
    return _checked_normal(loc, scale)


def _checked_normal(loc: Any, scale: Any) -> tuple[float, float]:
    mean, deviation = _number(loc, "loc"), _number(scale, "scale")
    if deviation <= 0:
        raise ValueError(f"scale must be greater than 0, got {scale!r}")
    return mean, deviation


def _shares(weights: Sequence[Any]) -> list[float]:
    """The weights, such that they sum to one."""
    if not weights:
        raise ValueError("a mixture has at least one component")
    numbers = [_number(weight, "weight") for weight in weights]
    if min(numbers) < 0:
        raise ValueError(f"weight must not be negative, got {min(numbers)!r}")
    largest = max(numbers)
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
