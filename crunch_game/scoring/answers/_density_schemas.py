"""How pydantic checks densities: schemas made from the table of families, and the marker that narrows them."""

from __future__ import annotations

from collections.abc import Iterable
from reprlib import repr as brief
from typing import Any

from crunch_game.scoring.answers._families import FAMILIES, LARGEST, SMALLEST_SCALE, Family
from crunch_game.scoring.answers._schemas import Marker, Schema, also, number, record_of, told

MAX_COMPONENTS = 128
"""Densities in one mixture, nested ones included. Scoring takes time and memory in their square."""


class Families(Marker):
    """Narrows densities to some of FAMILIES, and mixtures of them: `Annotated[Density, Families("norm", "t")]`.

    Raises:
        ValueError: A family is not known.
    """

    kind = "density"

    def __init__(self, *names: str) -> None:
        unknown = [name for name in names if name not in FAMILIES]
        if unknown or not names:
            raise ValueError(f"the families are {listed(FAMILIES)}, not {listed(unknown) or 'none'}")
        self.families = frozenset(names)

    def __repr__(self) -> str:
        return f"Families({', '.join(map(repr, sorted(self.families or ())))})"

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Schema:
        if source is self:
            return shape_schema(None, self.families)
        # Only of what is generated as a type of its own does pydantic collect the definitions.
        return handler.generate_schema(self)


def shape_schema(shape: str | None, families: frozenset[str] | None = None) -> Schema:
    """How a density of these families (all of them, unless given) is checked, or a part of one.

    Args:
        shape: "normal", "builtin", "scipy", "component" or "mixture"; None for any density.
        families: Their names.
    """
    from pydantic_core import core_schema

    table = [family for name, family in FAMILIES.items() if families is None or name in families]
    # A mixture has densities in it, so the schema of a density refers to itself.
    name = f"density of {', '.join(family.name for family in table)}"
    density = core_schema.definition_reference_schema(name)
    component = record_of({"density": density, "weight": number("weight", 0.0, LARGEST)})
    components = core_schema.list_schema(component, min_length=1, max_length=MAX_COMPONENTS)
    shapes = {
        "builtin": _by_name("builtin", table),
        "scipy": _by_name("scipy", table),
        "mixture": _tagged({"type": "mixture"}, {"components": also(_check_components, components)}),
    }
    parts = {"normal": _of_family("builtin", FAMILIES["norm"]), "component": component, **shapes}
    every = core_schema.tagged_union_schema(
        {kind: schema for kind, schema in shapes.items() if schema is not None},
        discriminator="type",
        custom_error_type="answer",
        custom_error_message=f'the "type" of a density must be {listed(shapes)}',
        ref=name,
    )
    return core_schema.definitions_schema(parts[shape] if shape else density, [every])


def listed(names: Iterable[Any]) -> str:
    """Names as a participant writes them in a dict."""
    return ", ".join(f'"{name}"' if isinstance(name, str) else brief(name) for name in names)


def _by_name(kind: str, table: list[Family]) -> Schema | None:
    from pydantic_core import core_schema

    choices = {family.name: _of_family(kind, family) for family in table if family.builtin or kind == "scipy"}
    if not choices:
        return None
    message = f'the "name" of a {kind} density must be {listed(choices)}'
    return core_schema.tagged_union_schema(
        choices, discriminator="name", custom_error_type="answer", custom_error_message=message
    )


def _of_family(kind: str, family: Family) -> Schema:
    shapes = {shape: number(shape, least, most) for shape, (least, most) in family.shapes.items()}
    place = {"loc": number("loc", -LARGEST, LARGEST), "scale": number("scale", SMALLEST_SCALE, LARGEST)}
    # `densitypdf` has defaults for scipy's densities only.
    params = record_of(shapes, **place) if kind == "scipy" else record_of(shapes | place)
    return _tagged({"type": kind, "name": family.name}, {"params": params})


def _tagged(tags: dict[str, str], fields: dict[str, Schema]) -> Schema:
    from pydantic_core import core_schema

    tagged = {key: core_schema.literal_schema([tag]) for key, tag in tags.items()}
    step = told(core_schema.float_schema(gt=0, allow_inf_nan=False), "step must be a number of seconds greater than 0")
    return record_of(tagged | fields, step=step)


def _check_components(components: list[Any]) -> list[Any]:
    """Check what only all components together can tell."""
    if not any(component["weight"] > 0 for component in components):
        raise ValueError("at least one weight must be greater than 0")
    nested = [each for component in components if "components" in (each := component["density"])]
    if nested:
        count = len(components) - len(nested)
        while nested:
            inner = [component["density"] for component in nested.pop()["components"]]
            deeper = [each for each in inner if "components" in each]
            count += len(inner) - len(deeper)
            nested += deeper
        if count > MAX_COMPONENTS:
            raise ValueError(f"a mixture has at most {MAX_COMPONENTS} components, those of nested mixtures included")
    return components
