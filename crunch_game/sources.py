"""Where a submission's code is: a class, a file, a folder, a name to import, or the address of a model node.

What people write for it is understood here, once; everything else matches on the kind that came of it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import stat
import sys
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

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
    "absolute",
    "check_name",
    "entry_of",
    "host_and_port",
    "is_archive",
    "is_code",
    "is_folder",
    "may_have_model",
    "place_of",
    "resolve",
    "source_of",
]

_ARCHIVES: Final = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".whl")
_MOST_LISTED: Final = 5


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
        """The file or folder, with its links followed; None if it is gone, or if they lead nowhere."""
        # Path's own resolve and exists raise errors for links in a circle, and for where nobody may look.
        return Path(os.path.realpath(self.path)) if os.access(self.path, os.F_OK) else None

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
    if is_folder(path):
        return FolderSource(path)
    if os.access(path, os.F_OK) or not isinstance(given, str):
        return FileSource(path)
    address = host_and_port(given)
    if address is not None and address[1] > 0:
        return NodeSource(*address)
    return FileSource(path) if "/" in given or given.endswith(".py") else NameSource(given)


def absolute(source: Source) -> Source:
    """The same submission, also when the current folder is another: while a model runs in this process, its own is."""
    return type(source)(source.path.absolute()) if isinstance(source, FileSource | FolderSource) else source


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
        LoadError: There is no such file, or none in the folder; the message says what to change.
    """
    given, path = path, Path(os.path.realpath(path))
    check_name(path)
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        kind = 0
    except OSError as error:
        raise LoadError(f"{given.name} cannot be looked at: {error}") from None
    if stat.S_ISREG(kind):
        if path.suffix != ".py":
            raise LoadError(_no_entry_file(path.name))
        return path
    if not stat.S_ISDIR(kind):
        leads = f", to which the link {given.name} leads" if given.is_symlink() else ""
        raise LoadError(f"there is no submission at {path}{leads}")
    try:
        entry = _entry_in(path)
        why = "" if entry is not None else _no_entry_in(path)
    except OSError as error:
        raise LoadError(f"the folder {path.name} cannot be read: {error}; give its reader the right to") from None
    if entry is None:
        raise LoadError(f"the folder {path.name} {why}")
    return entry


def is_folder(path: Path) -> bool:
    """Whether it is a folder, or a link to one, as far as one may look."""
    try:
        return path.is_dir()
    except OSError:
        return False


def check_name(path: Path) -> None:
    """Check that a submission can be named: in messages, in a store, in what another process is told.

    Raises:
        LoadError: A name in its path is no UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise LoadError(f"a name in its path is no UTF-8, {str(path)!a}; rename it") from None


def _entry_in(folder: Path) -> Path | None:
    for entry in (folder / "main.py", folder / "__init__.py"):
        if entry.is_file():
            return entry
    packages = _packages_in(folder)
    return packages[0] / "__init__.py" if len(packages) == 1 else None


def _packages_in(folder: Path) -> list[Path]:
    """The packages of which a folder without a main.py may have one; tests are no model."""
    packages = [each for each in _seen_in(folder) if os.access(each / "__init__.py", os.F_OK)]
    return [each for each in packages if not each.name.startswith("_") and each.name not in ("tests", "test")]


def _seen_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and path.name != "__pycache__")


def is_archive(name: str) -> bool:
    """Whether a file of that name is one that code is packed into."""
    return name.lower().endswith(_ARCHIVES)


def is_code(name: str) -> bool:
    """Whether a file of that name has Python in it, however it is called: also a notebook, `A.PY` and `a.py.txt`."""
    return name.lower().endswith((".py", ".ipynb", ".py.txt"))


def _no_entry_file(name: str) -> str:
    """Why a file is no submission, and what to do."""
    if name.lower().endswith(".ipynb"):
        return f"{name} is a notebook; notebooks cannot be loaded yet, save it as a .py file"
    if is_archive(name):
        return f"{name} is an archive; unpack it: a submission is a .py file, or a folder with a main.py"
    if is_code(name):
        return f"{name} is no .py file by its name; rename it {name[: name.lower().rindex('.py')]}.py"
    return f"{name} is no Python file; a submission is a .py file, or a folder with a main.py"


def _no_entry_in(folder: Path) -> str:
    """Why a folder is no submission, and what to do: the likeliest mistake first."""
    inside = _seen_in(folder)
    names = [path.name for path in inside if path.is_file()]
    if not inside:
        return "is empty; give it a main.py"
    packages = [path.name for path in _packages_in(folder)]
    if len(packages) > 1:
        listed = _listed(packages)
        return f"has no main.py and {len(packages)} packages ({listed}); give it a main.py, or exactly one package"
    miscalled = [name for name in names if name.lower() in ("main.py", "main.py.txt", "__main__.py")]
    modules = [name for name in names if name.lower().endswith((".py", ".py.txt"))]
    models = miscalled or list(filter(may_have_model, modules)) or modules
    if len(models) == 1:
        return f"has no main.py; rename {models[0]} to main.py"
    if models:
        return f"has no main.py, but {_listed(models)}; rename the one that has the model to main.py"
    notebooks = [name for name in names if is_code(name)]
    if notebooks:
        return f"has no main.py, but {_listed(notebooks)}; notebooks cannot be loaded yet, save it as main.py"
    return _no_entry_below(folder, [path for path in inside if path.is_dir()], names)


def _no_entry_below(folder: Path, below: list[Path], names: list[str]) -> str:
    nested = [found for each in below if (found := _nearest(each)) is not None]
    if len(nested) == 1:
        return f"has no main.py; move what is in {nested[0].relative_to(folder.parent)} up into {folder.name}"
    if nested:
        listed = _listed([str(each.relative_to(folder)) for each in nested])
        return f"has no main.py, but folders that have ({listed}); each of these is a submission of its own"
    if archives := [name for name in names if is_archive(name)]:
        return f"has no main.py; unpack {archives[0]} in it"
    return "has no main.py and no package; give it a main.py, or exactly one package"


def _nearest(folder: Path, depth: int = 3) -> Path | None:
    """The first folder that has an entry, in this one or, if that has no more than one, below it."""
    if _entry_in(folder) is not None:
        return folder
    below = [path for path in _seen_in(folder) if path.is_dir()]
    return _nearest(below[0], depth - 1) if depth and len(below) == 1 else None


def may_have_model(name: str) -> bool:
    """Whether a Python file of that name may have the model, and is not what people keep beside it."""
    return name.lower() not in ("setup.py", "conftest.py", "noxfile.py") and not name.startswith(("_", "test_"))


def _listed(names: list[str]) -> str:
    shown = names if len(names) <= _MOST_LISTED else [*names[:_MOST_LISTED], f"{len(names) - _MOST_LISTED} more"]
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
