"""It is told which kinds of answer an annotation admits, or that it cannot be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Optional, Union

import pytest
from annotated_types import Len
from pydantic import Field
from typing_extensions import TypeAliasType

from crunch_game.scoring import (
    FAMILIES,
    Builtin,
    Categories,
    Density,
    Families,
    Levels,
    Mixture,
    Names,
    Normal,
    PathLength,
    Paths,
    Point,
    Probability,
    Quantiles,
    Samples,
    Scipy,
    families,
    kinds,
)

ALL = set(FAMILIES)


@pytest.mark.parametrize(
    ("annotation", "expected", "names"),
    [
        (Density, {"density"}, ALL),
        (list[Density], {"density"}, ALL),
        (tuple[Density, ...], {"density"}, ALL),
        (tuple[Density, Normal], {"density"}, ALL),
        (Sequence[Density], {"density"}, ALL),
        (Annotated[list[Density], Len(5, 5)], {"density"}, ALL),
        (list[Density] | None, {"density"}, ALL),
        (Optional[Density], {"density"}, ALL),  # noqa: UP045 - as authors write it
        (Union[list[Density], Samples], {"density", "samples"}, ALL),  # noqa: UP007
        (Density | Quantiles, {"density", "quantiles"}, ALL),
        (TypeAliasType("Answer", list[Density]), {"density"}, ALL),
        (Normal, {"density"}, {"norm"}),
        (Builtin, {"density"}, ALL - {"logistic", "uniform"}),
        (Scipy, {"density"}, ALL),
        (Mixture, {"density"}, ALL),
        (Annotated[Density, Families("norm", "t")], {"density"}, {"norm", "t"}),
        (list[Annotated[Density, Families("norm")]] | Annotated[Density, Families("t")], {"density"}, {"norm", "t"}),
        (Quantiles, {"quantiles"}, None),
        (Annotated[Quantiles, Levels(0.5)], {"quantiles"}, None),
        (Samples, {"samples"}, None),
        (list[Samples], {"samples"}, None),
        (Annotated[Samples, Len(100), Field(description="draws")], {"samples"}, None),
        (Paths, {"paths"}, None),
        (Annotated[Paths, Len(100, 100), PathLength(5)], {"paths"}, None),
        (Probability, {"probability"}, None),
        (Categories, {"categories"}, None),
        (Annotated[Categories, Names("a", "b")], {"categories"}, None),
        (Point, {"point"}, None),
        (list[Point], {"point"}, None),
        (Any, None, None),
        (None, None, None),
        (dict, None, None),
        (dict[str, Density], None, None),
        (list, None, None),
        (list[Any], None, None),
        (float, None, None),
        (list[float], None, None),
        (Annotated[float, Field(ge=0)], None, None),
        (Density | dict[str, Any], None, None),
        ("Density", None, None),
    ],
)
def test_the_kinds_and_the_families_of_an_annotation(annotation: Any, expected: Any, names: Any) -> None:
    assert kinds(annotation) == expected
    assert families(annotation) == names
