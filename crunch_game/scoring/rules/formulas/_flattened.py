"""Densities as arrays: of many dicts, or of what stored text was decoded to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from crunch_game.scoring.answers import LARGEST, MAX_COMPONENTS, SMALLEST_SCALE, Part, as_components
from crunch_game.scoring.rules.formulas._libraries import Array, np
from crunch_game.scoring.rules.formulas._stored import Plain, as_dict, layout, numbers_in

__all__ = ["Flattened", "Normals", "flattened"]


class Normals(NamedTuple):
    """Mixtures of equally many normals; `places` (n,) are those of their densities, the rest is (n, components)."""

    places: Any
    weights: Array
    locs: Array
    scales: Array


class Flattened(NamedTuple):
    """Many densities: those that are mixtures of normals as arrays, the parts of others, and what is no density."""

    normals: list[Normals]
    others: dict[int, list[Part]]
    errors: dict[int, ValueError]


def flattened(densities: Sequence[Any]) -> Flattened:
    """Flatten many densities at once; each is a dict, or what stored text was decoded to."""
    # Plain mixtures of normals go into arrays unchecked, by their number of components, and are checked there.
    rows: dict[int, tuple[list[int], list[Any]]] = {}
    structs: dict[tuple[int, bool], tuple[list[int], list[Any]]] = {}
    odd: list[int] = []
    for place, density in enumerate(densities):
        if isinstance(density, Plain):
            if of := layout(density):
                places, found = structs.setdefault(of, ([], []))
                places.append(place)
                found.append(density)
                continue
        elif row := _row(density):
            places, found = rows.setdefault(len(row) // 3, ([], []))
            places.append(place)
            found += row
            continue
        odd.append(place)
    normals: list[Normals] = []
    for size, (places, found) in rows.items():
        table = _table(found, size)
        odd += places if table is None else _take_admitted(places, table, normals)
    for of, (places, found) in structs.items():
        odd += _take_admitted(places, numbers_in(found, of), normals)
    others: dict[int, list[Part]] = {}
    errors: dict[int, ValueError] = {}
    for place in sorted(odd):
        density = densities[place]
        try:
            others[place] = as_components(as_dict(density) if isinstance(density, Plain) else density)
        except ValueError as error:
            errors[place] = error
    return Flattened(normals + _normals_among(others), others, errors)


_KINDS = frozenset({"builtin", "scipy"})


def _row(density: Any) -> list[Any] | None:
    """Weight, mean and standard deviation of each component, unchecked; None if it is no plain mixture of normals."""
    try:
        if density["type"] != "mixture":
            params = density["params"]
            if density["name"] != "norm" or len(params) != 2 or density["type"] not in _KINDS:
                return None
            return [1.0, params["loc"], params["scale"]]
        row: list[Any] = []
        for part in density["components"]:
            leaf = part["density"]
            params = leaf["params"]
            if leaf["name"] != "norm" or len(params) != 2 or leaf["type"] not in _KINDS:
                return None
            row += (part["weight"], params["loc"], params["scale"])
    except (KeyError, TypeError):
        return None
    return row


def _table(numbers: list[Any], components: int) -> Array | None:
    """The numbers (n, components, 3), unless some are none."""
    if not set(map(type, numbers)) <= {float, int}:
        return None
    try:
        return np.array(numbers, dtype=np.float64).reshape(-1, components, 3)
    except OverflowError:  # an int beyond double precision
        return None


def _take_admitted(places: list[int], table: Array, taken: list[Normals]) -> list[int]:
    """Take the rows with admitted numbers as one group; the places of the others."""
    components = table.shape[1]
    if components > MAX_COMPONENTS:
        return places
    weights, locs, scales = np.ascontiguousarray(np.moveaxis(table, 2, 0))
    greatest = weights.max(axis=1)
    # Written so that NaN is not admitted.
    right = (weights >= 0).all(axis=1) & (greatest > 0) & (greatest <= LARGEST) & (np.abs(locs) <= LARGEST).all(axis=1)
    right &= ((scales >= SMALLEST_SCALE) & (scales <= LARGEST)).all(axis=1)
    where = np.array(places)
    refused = where[~right].tolist()
    if refused:
        where, weights, locs, scales, greatest = (each[right] for each in (where, weights, locs, scales, greatest))
    weights = weights / greatest[:, None]  # the sum of large ones would overflow
    weights /= weights.sum(axis=1, keepdims=True)
    if len(where):
        taken.append(Normals(where, weights, locs, scales))
    return refused  # type: ignore[no-any-return]


def _normals_among(others: dict[int, list[Part]]) -> list[Normals]:
    """Take out what is a mixture of normals after all: a nested one, or one with scipy's defaults."""
    found: list[Normals] = []
    for place, parts in list(others.items()):
        if all(part.family == "norm" for part in parts):
            columns = np.array([(part.weight, *part.parameters) for part in others.pop(place)]).T[:, None, :]
            found.append(Normals(np.array([place]), *columns))
    return found
