"""Says whether any answer could fit an annotation: answers are plain values, arrays and tables, no objects."""

from __future__ import annotations

import datetime as dt
import sys
import types
from collections.abc import Iterator, Mapping
from typing import Any, Final

_PLAIN: Final = (types.NoneType, bool, int, float, str, bytes, list, dict, dt.datetime)
_LAZY: Final[Mapping[str, str]] = {"generator": "an Iterator or Iterable", "callable": "a Callable"}
_CLASSES: Final = ("is-subclass", "is-instance")
# Of those that read a value in several ways, the one that an answer goes through.
_WAYS: Final[Mapping[str, str]] = {"json-or-python": "json_schema", "lax-or-strict": "strict_schema"}
_UNWALKED: Final = frozenset({"metadata", "serialization", "ref", "default"})


def unanswerable(schema: Any, *, is_table: bool) -> Any:
    """Return the class, or a name for it, that no answer can be an instance of; None if there is no such.

    Args:
        schema: The annotation's core schema, as pydantic has made it.
        is_table: Whether the contract promises a DataFrame.
    """
    definitions = {each["ref"]: each for each in schema.get("definitions", ())} if isinstance(schema, dict) else {}
    arrivals = list(_PLAIN)
    for module, name in (("numpy", "ndarray"), ("pandas", "DataFrame")):
        if module in sys.modules and (name == "ndarray" or is_table):
            arrivals.append(getattr(sys.modules[module], name))
    return _Search(arrivals, definitions).first(schema)


class _Search:
    """A walk through a core schema, for what no answer can be."""

    def __init__(self, arrivals: list[type], definitions: Mapping[str, Any]) -> None:
        self._arrivals = arrivals
        self._definitions = definitions
        self._seen: set[str] = set()

    def first(self, schema: Any) -> Any:
        if isinstance(schema, list | tuple):
            return next((found for each in schema if (found := self.first(each)) is not None), None)
        if not isinstance(schema, dict):
            return None
        kind = str(schema.get("type"))
        if kind in _LAZY:
            return _LAZY[kind]
        if kind in _CLASSES:
            cls = schema["cls"]
            return cls if kind == "is-subclass" or not self._arrives(cls) else None
        if kind in _WAYS:
            return self.first(schema[_WAYS[kind]])
        if kind == "union":
            found = [self.first(each[0] if isinstance(each, tuple) else each) for each in schema["choices"]]
            return None if None in found else found[0]
        if kind == "definition-ref":
            ref = schema["schema_ref"]
            if ref in self._seen:
                return None
            self._seen.add(ref)
            return self.first(self._definitions.get(ref))
        return next((found for part in _parts(schema) if (found := self.first(part)) is not None), None)

    def _arrives(self, cls: Any) -> bool:
        try:
            return any(issubclass(each, cls) for each in self._arrivals)
        except TypeError:  # a Protocol that is not for isinstance
            return False


def _parts(schema: Mapping[str, Any]) -> Iterator[Any]:
    """The schemas within one: of the items, the fields, the keys and the values."""
    for name, part in schema.items():
        if name == "definitions" or name in _UNWALKED:
            continue
        yield list(part.values()) if name == "fields" and isinstance(part, dict) else part
