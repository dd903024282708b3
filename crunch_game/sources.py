"""Where a submission's code is: a class, a file, a folder, a name to import, or the address of a model node.

What people write for it is understood here, once; everything else matches on the kind that came of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from crunch_game._quantities import described
from crunch_game.errors import LoadError

__all__ = [
    "ClassSource",
    "FileSource",
    "FolderSource",
    "NameSource",
    "NodeSource",
    "Source",
    "SourceLike",
    "entry_of",
    "host_and_port",
    "place_of",
    "resolve",
    "source_of",
]


@dataclass(frozen=True, slots=True)
class ClassSource:
    """A class that the caller has at hand."""

    cls: type

    @property
    def place(self) -> Path | None:
        """The file that the class is defined in, or None for a prompt's."""
        file = getattr(sys.modules.get(self.cls.__module__), "__file__", None)
        return Path(file) if file else None

    def __str__(self) -> str:
        return f"{self.cls.__module__}:{self.cls.__qualname__}"


@dataclass(frozen=True, slots=True)
class _PathSource:
    path: Path

    @property
    def place(self) -> Path | None:
        """The file or folder, with its links followed; None if it is gone."""
        return self.path.resolve() if self.path.exists() else None

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)


class FileSource(_PathSource):
    """A Python file; also a path at which there is nothing, so that loading it can say so."""

    __slots__ = ()


class FolderSource(_PathSource):
    """A folder with a main.py, or with one package."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class NameSource:
    """Something that can be imported: "package.module:attr", or a module alone."""

    reference: str

    @property
    def place(self) -> Path | None:
        """The file or folder of its package; None if that is not installed."""
        return place_of(self.reference)

    def __str__(self) -> str:
        return self.reference


@dataclass(frozen=True, slots=True)
class NodeSource:
    """A model node, which has the code, and answers at this address."""

    host: str
    port: int

    @property
    def place(self) -> None:
        """None: the code is elsewhere."""
        return None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Source = ClassSource | FileSource | FolderSource | NameSource | NodeSource
SourceLike = type | str | os.PathLike[str] | Source
"""A class, the path of a file or a folder, "package.module:attr", or the "host:port" of a model node."""


def source_of(given: SourceLike) -> Source:
    """What somebody wrote for a submission's code. A path that exists is one, whatever else it may look like.

    Raises:
        LoadError: It is nothing that code can come from, such as an instance.
    """
    if isinstance(given, Source):
        return given
    if isinstance(given, type):
        return ClassSource(given)
    anything: Any = given
    if not isinstance(anything, str | os.PathLike):
        raise LoadError(f"{described(anything)} is not where a model comes from; {_instead(anything)}")
    path = Path(given)
    if path.is_dir():
        return FolderSource(path)
    if path.exists() or not isinstance(given, str):
        return FileSource(path)
    address = host_and_port(given)
    if address is not None and address[1] > 0:
        return NodeSource(*address)
    return FileSource(path) if "/" in given or given.endswith(".py") else NameSource(given)


def _instead(given: Any) -> str:
    if isinstance(given, ModuleType):
        return f'give a class of it, or "{given.__name__}:Class"'
    if isinstance(given, FunctionType):
        return f'give a class, or "{given.__module__}:{given.__qualname__}"'
    return f"give the class: {type(given).__name__}"


def host_and_port(text: str) -> tuple[str, int] | None:
    """The host and the port of "HOST:PORT", or None for any other text; an IPv6 host stands in brackets."""
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not host or not port.isdecimal() or int(port) > 65_535 or (":" in host and not bracketed):
        return None
    return (host[1:-1] if bracketed else host), int(port)


def resolve(reference: str) -> Any:
    """What "package.module:attr" names; the module itself where nothing follows it.

    Raises:
        ImportError: There is no such module; whatever else importing it raises is raised too.
        AttributeError: It has no such attribute.
    """
    # pkgutil.resolve_name does the same, but refuses a script whose name is no identifier, such as my-game.py.
    module, _, path = reference.partition(":")
    return reduce(getattr, path.split(".") if path else (), importlib.import_module(module))


def place_of(reference: str) -> Path | None:
    """The file or folder of the package that a name leads into, found without running any of it."""
    try:
        spec = importlib.util.find_spec(reference.partition(":")[0].partition(".")[0])
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        return None
    return Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)


def entry_of(path: Path) -> Path:
    """The file that is run for a submission: the file itself, a folder's main.py, or its package's __init__.py.

    Raises:
        LoadError: There is no such file, or none in the folder.
    """
    path = path.resolve()
    if path.is_file():
        if path.suffix == ".ipynb":
            raise LoadError(f"{path.name} is a notebook; notebooks cannot be loaded yet, save it as a .py file")
        if path.suffix != ".py":
            raise LoadError(f"{path.name} is no Python file; a submission is a .py file, or a folder with a main.py")
        return path
    if not path.is_dir():
        raise LoadError(f"there is no submission at {path}")
    for entry in (path / "main.py", path / "__init__.py"):
        if entry.is_file():
            return entry
    packages = sorted(init for init in path.glob("*/__init__.py") if not init.parent.name.startswith((".", "_")))
    if len(packages) == 1:
        return packages[0]
    found = f"{len(packages)} packages" if packages else "no package"
    raise LoadError(f"the folder {path.name} has no main.py and {found}; give it a main.py, or exactly one package")
