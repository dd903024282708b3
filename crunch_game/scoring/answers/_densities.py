"""Densities: plain dicts in the format of the `densitypdf` package, as models return them.

With the annotation `def predict(...) -> list[Density]`, pydantic checks answers. This module needs no pydantic, numpy
or scipy itself, because every model process imports it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from reprlib import repr as brief
from typing import Annotated, Any, Literal, NotRequired, TypeAlias

from annotated_types import Ge, Gt, Len
from typing_extensions import TypedDict  # before Python 3.12, pydantic refuses the one of typing

MAX_COMPONENTS = 128
"""Normals in one mixture, nested ones included. Scoring takes time and memory in their square."""


class _ByType:
    """Makes pydantic choose the shape by the key "type", so that its messages are about that shape only."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        shapes = {"builtin": Normal, "scipy": Scipy, "mixture": Mixture}
        choices = {name: handler.generate_schema(shape) for name, shape in shapes.items()}
        return core_schema.tagged_union_schema(choices, discriminator="type")


class _AlsoCheck:
    """Adds a check to pydantic's, which returns the value or raises a ValueError."""

    def __init__(self, check: Callable[[Any], Any]) -> None:
        self._check = check

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_after_validator_function(self._check, handler(source))


def _check_scale(params: Mapping[str, float]) -> Mapping[str, float]:
    if not params.get("scale", 1.0) > 0:
        raise ValueError(f"scale must be greater than 0, got {params['scale']!r}")
    return params


def _check_weights(components: Sequence[Component]) -> Sequence[Component]:
    if not any(component["weight"] > 0 for component in components):
        raise ValueError("at least one weight must be greater than 0")
    return components


class NormalParams(TypedDict):
    """Mean and standard deviation."""

    loc: float
    scale: Annotated[float, Gt(0)]


class Normal(TypedDict):
    """A normal distribution. `step` is the step of the horizon that it is for, in seconds."""

    type: Literal["builtin"]
    name: Literal["norm"]
    params: NormalParams
    step: NotRequired[Annotated[float, Gt(0)]]


class Scipy(TypedDict):
    """A continuous distribution of `scipy.stats` by its name, with its keyword arguments."""

    type: Literal["scipy"]
    name: str
    params: Annotated[dict[str, float], _AlsoCheck(_check_scale)]
    step: NotRequired[Annotated[float, Gt(0)]]


class Component(TypedDict):
    """One density of a mixture. Weights need not sum to one."""

    density: Density
    weight: Annotated[float, Ge(0)]


class Mixture(TypedDict):
    """A weighted mixture of densities, which may be mixtures themselves."""

    type: Literal["mixture"]
    components: Annotated[list[Component], Len(1, MAX_COMPONENTS), _AlsoCheck(_check_weights)]
    step: NotRequired[Annotated[float, Gt(0)]]


Density: TypeAlias = Annotated[Normal | Scipy | Mixture, _ByType()]

for _shape in (NormalParams, Normal, Scipy, Component, Mixture):
    setattr(_shape, "__pydantic_config__", {"extra": "forbid"})  # noqa: B010 - the body of a TypedDict cannot assign it


def normal(loc: float, scale: float, step: float | None = None) -> Normal:
    """Return the normal distribution with this mean and standard deviation.

    Args:
        loc: The mean.
        scale: The standard deviation; positive.
        step: The step that it is for, in seconds, if the game asks for that.

    Raises:
        ValueError: A number is not finite, or the scale is not positive.
    """
    loc, scale = _checked_normal(loc, scale)
    density: Normal = {"type": "builtin", "name": "norm", "params": {"loc": loc, "scale": scale}}
    if step is not None:
        density["step"] = float(step)
    return density


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
    waiting: list[tuple[float, Any]] = [(1.0, density)]
    # No recursion: a model may nest mixtures deeper than the stack allows.
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
    """Return the components of a mixture, and divide its weight among them."""
    components = _get(density, "components")
    if not isinstance(components, list | tuple):
        raise ValueError(f'the "components" of a mixture are a list, not {brief(components)}')
    weights = [_get(component, "weight") for component in components]
    return [
        (weight * share, _get(component, "density"))
        for share, component in zip(_normalized(weights), components, strict=True)
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


def _normalized(weights: Sequence[Any]) -> list[float]:
    """Scale the weights to sum to one."""
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
