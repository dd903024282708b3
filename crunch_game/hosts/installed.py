"""Where installed libraries lie, and how to import them from there and from nowhere else.

An entry of sys.path that is no library folder is the author's own, and submissions may lie in it: the fork server,
which no sandbox holds, must not find them there, neither by a word of a submission nor by a library that looks for
another which is not installed. The author's own packages are therefore no libraries, those installed as editable
neither: their names lead into such an entry. What the base class needs of them is imported with it.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from crunch_game.hosts.surroundings import is_beneath, real

__all__ = ["alone", "places_of"]


def places_of(name: str) -> list[str]:
    """The file or folders of the installed library of this top-level name; none if there is none. Imports nothing."""
    spec = PathFinder.find_spec(name, _beneath(_folders(), sys.path))
    if spec is None:
        return []
    return list(spec.submodule_search_locations or ()) or [spec.origin or ""]


@contextmanager
def alone() -> Iterator[None]:
    """While it is entered, imports find the standard library and installed libraries, and nothing else on sys.path."""
    finders, path = sys.meta_path[:], sys.path[:]
    installed = _beneath([*_folders(), *_standard()], path)
    sys.meta_path[:] = [_Installed if finder is PathFinder else finder for finder in finders]
    sys.path[:] = installed
    try:
        yield
    finally:
        sys.meta_path[:] = [PathFinder if finder is _Installed else finder for finder in sys.meta_path]
        sys.path[:] = path + [entry for entry in sys.path if entry not in installed]  # what a library has added stays


class _Installed(PathFinder):
    """Keeps what is beneath a package where the package is, whatever else its path has: some share their names."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None:
            path = _beneath([*_folders(), *_standard(), *_own(fullname.rpartition(".")[0])], path)
        return super().find_spec(fullname, path, target)


def _beneath(roots: Iterable[str], entries: Iterable[str]) -> list[str]:
    among = list(roots)
    return [entry for entry in entries if entry and is_beneath(real(entry), among)]


def _folders() -> list[str]:
    own = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
    named = [entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    return [real(folder) for folder in dict.fromkeys([*own, *named])]


def _standard() -> list[str]:
    library = real(sysconfig.get_path("stdlib"))
    zipped = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
    return [library, str(Path(library).parent / zipped)]


def _own(package: str) -> list[str]:
    """The folder of a package that is imported already, whoever imported it. Others may have been added to its path."""
    file = getattr(sys.modules.get(package), "__file__", None)
    return [real(Path(file).parent)] if isinstance(file, str) else []
