"""Which kinds of answer an annotation admits."""

from __future__ import annotations

import collections.abc
import types
import typing
from typing import Any

from crunch_game.scoring.answers._densities import Builtin, Component, Mixture, Normal, Scipy
from crunch_game.scoring.answers._families import FAMILIES
from crunch_game.scoring.answers._quantiles import Quantiles
from crunch_game.scoring.answers._schemas import Marker

_ALL = frozenset(FAMILIES)
_SHAPES: dict[Any, tuple[str, frozenset[str]]] = {
    Normal: ("density", frozenset({"norm"})),
    Builtin: ("density", frozenset(name for name, family in FAMILIES.items() if family.builtin)),
    Scipy: ("density", _ALL),
    Mixture: ("density", _ALL),
    Component: ("density", _ALL),
    Quantiles: ("quantiles", frozenset()),
}
_MANY = (list, tuple, collections.abc.Sequence)


def kinds(annotation: Any) -> frozenset[str] | None:
    """Return the kinds of answer that an annotation admits, or None where that cannot be told.

    Kinds are "density", "quantiles", "samples", "paths", "probability", "categories" and "point". A list of answers,
    one for each step, is of the kind of its items; that None is admitted too does not count. It cannot be told of Any,
    dict, float, list[float] and classes of an author's own.
    """
    found = _admitted(annotation)
    return None if found is None else frozenset(kind for kind, _ in found)


def families(annotation: Any) -> frozenset[str] | None:
    """Return the families of densities that an annotation admits, or None where no density is, or it cannot be told."""
    admitted = [names for kind, names in _admitted(annotation) or () if kind == "density"]
    return frozenset().union(*admitted) if admitted else None


def _admitted(annotation: Any) -> set[tuple[str, frozenset[str]]] | None:
    """The kinds that are admitted, those of densities with the families."""
    if hasattr(annotation, "__value__"):  # what `type X = ...` makes
        return _admitted(annotation.__value__)
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        # The last marker narrows those before it.
        markers = [each for each in annotation.__metadata__ if isinstance(each, Marker)]
        return {(markers[-1].kind, markers[-1].families or frozenset())} if markers else _admitted(inner[0])
    if origin in (typing.Union, types.UnionType):
        parts = [_admitted(each) for each in inner if each is not types.NoneType]
    elif origin in _MANY and inner:
        parts = [_admitted(each) for each in inner if each is not ...]
    else:
        return {_SHAPES[annotation]} if annotation in _SHAPES else None
    known = [part for part in parts if part is not None]
    return set().union(*known) if len(known) == len(parts) else None
