"""The parts of which the annotations of answers are made: how pydantic checks a number, and what a marker is.

pydantic_core is imported where it is used: models' processes import this module, and check nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crunch_game.scoring.answers._families import LARGEST

Schema = Any
"""A schema of pydantic_core."""


class Marker:
    """What stands in an answer's `Annotated[...]`: it says of which kind the answer is, and how it is checked.

    An author's own marker narrows the one that stands before it: `Annotated[Samples, Draws(100)]`.

    Attributes:
        kind: "density", "quantiles", "samples", "paths", "probability", "categories" or "point".
        families: Of a density: the names of the families that are admitted.
    """

    kind: str
    families: frozenset[str] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Schema:
        """How an answer is checked; `handler(source)` is how it is without this marker."""
        raise NotImplementedError


def number(name: str, least: float, most: float) -> Schema:
    """A number from `least` to `most`, both included; NaN is none."""
    from pydantic_core import core_schema

    message = f"{name} must be a number from {least:g} to {most:g}"
    if LARGEST in (least, most):
        message += ", the range that double precision can tell"
    return told(core_schema.float_schema(ge=least, le=most, allow_inf_nan=False), message)


def numbers(name: str, least: int, most: int) -> Schema:
    """A list of `least` to `most` numbers."""
    from pydantic_core import core_schema

    return core_schema.list_schema(number(name, -LARGEST, LARGEST), min_length=least, max_length=most)


def told(schema: Schema, message: str) -> Schema:
    """The same schema, but whatever it refuses, it says this."""
    from pydantic_core import core_schema

    return core_schema.custom_error_schema(schema, custom_error_type="answer", custom_error_message=message)


def also(check: Callable[[Any], Any], schema: Schema) -> Schema:
    """The schema, and after it a check that returns the value or raises a ValueError."""
    from pydantic_core import core_schema

    return core_schema.no_info_after_validator_function(check, schema)


def record_of(fields: dict[str, Schema], **optional: Schema) -> Schema:
    """A dict that has these keys, may have the optional ones, and has no others."""
    from pydantic_core import core_schema

    every = {name: core_schema.typed_dict_field(each) for name, each in fields.items()}
    every |= {name: core_schema.typed_dict_field(each, required=False) for name, each in optional.items()}
    return core_schema.typed_dict_schema(every, extra_behavior="forbid")
