"""What the package's faces are made of: names that say where they are imported from, and are loaded on first use."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform

_T = TypeVar("_T")


def public(thing: _T) -> _T:
    """Decorates a class or function that people import: it says that it is of the face where they find it.

    That is crunch_game's own, or else that of the folder. Tracebacks and documentation show what one imports, and
    pickles still work when the thing's module has moved. It stands above every other decorator: a dataclass, for one,
    reads its annotations in the module that it is made in.
    """
    named: Any = thing
    if named.__name__ in getattr(sys.modules.get("crunch_game"), "__all__", ()):
        named.__module__ = "crunch_game"
    else:
        parts = named.__module__.split(".")
        named.__module__ = ".".join(takewhile(lambda part: not part.startswith("_"), parts))
    return thing


@dataclass_transform(frozen_default=True)
def record(cls: type[_T]) -> type[_T]:
    """Decorates a record of the package's face: `dataclass(frozen=True, slots=True)`, with `public` above it."""
    from dataclasses import dataclass  # here, since every participant's model imports this module, and makes no record

    return public(dataclass(frozen=True, slots=True)(cls))


def lazy_face(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package whose names are loaded on first use.

    The package lists them under TYPE_CHECKING, each on a line `from HOME import NAME as NAME`, and calls this in the
    other branch. So there is one list, for type checkers, which tell a name that is misspelled, and for Python.
    """
    face = vars(sys.modules[package])
    # The lines are known by their looks, as the formatter writes them: to import `ast` would cost more than the rest.
    lines = Path(face["__file__"]).read_text(encoding="utf-8").splitlines()
    listed = [line.split() for line in lines if line.startswith("    from ") and " as " in line]
    home_of = {words[-1]: words[1] for words in listed}

    def load(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        face[name] = getattr(import_module(home_of[name]), name)
        return face[name]

    def names() -> list[str]:
        return sorted({*face, *home_of})

    return load, names, sorted(home_of)
