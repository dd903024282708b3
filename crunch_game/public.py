"""What the package's faces are made of: names that say where they are imported from, and are loaded on first use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, TypeVar

__all__ = ["lazy_face", "public"]

_T = TypeVar("_T")


def public(thing: _T) -> _T:
    """Decorates a class or function of the package's face: wherever it lives, it says that it is crunch_game's.

    Tracebacks and documentation show what one imports, and pickles still work when the thing's module has moved. It
    stands above every other decorator: a dataclass, for one, reads its annotations in the module that it is made in.
    """
    thing.__module__ = "crunch_game"
    return thing


def lazy_face(
    package: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The `__getattr__`, `__dir__` and `__all__` of a package whose names are loaded on first use.

    Args:
        package: The package's `__name__`.
        homes: The names that each of its modules defines, with spaces between, by the module's name in the package.

    A package writes its imports under TYPE_CHECKING, and `__getattr__, __dir__, __all__ = lazy_face(...)` in the other
    branch: type checkers then know every name, and tell one that is misspelled.
    """
    home_of = {name: f"{package}.{home}" for home, names in homes.items() for name in names.split()}
    face = vars(sys.modules[package])

    def load(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        face[name] = getattr(import_module(home_of[name]), name)
        return face[name]

    def names() -> list[str]:
        return sorted({*face, *home_of})

    return load, names, sorted(home_of)
