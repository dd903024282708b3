"""Finds installed libraries, and imports them without finding anything else.

An entry of sys.path other than a library folder is the author's own, and submissions may be in it. The fork server is
in no sandbox, so it must never import a submission: neither because another submission names it, nor because a library
tries an optional import of that name. So only what is in library folders counts as installed. The author's packages do
not, even if they are installed as editable; what the base class needs of them is imported with it.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from crunch_game.sandbox import is_beneath, real


def places_of(name: str) -> list[str]:
    """Return the file, or the folders, of the installed library of this top-level name. Imports nothing."""
    spec = PathFinder.find_spec(name, _beneath(_folders(), sys.path))
    if spec is None:
        return []
    return list(spec.submodule_search_locations or ()) or [spec.origin or ""]


@contextmanager
def only_installed() -> Iterator[None]:
    """Let imports find only the standard library and installed libraries, while the context is entered."""
    finders, path = sys.meta_path[:], sys.path[:]
    installed = _beneath([*_folders(), *_standard()], path)
    # In place, since libraries keep references to both lists.
    sys.meta_path[:] = [_Installed if finder is PathFinder else finder for finder in finders]
    sys.path[:] = installed
    try:
        yield
    finally:
        sys.meta_path[:] = [PathFinder if finder is _Installed else finder for finder in sys.meta_path]
        sys.path[:] = path + [entry for entry in sys.path if entry not in installed]  # a library may have added its own


class _Installed(PathFinder):
    """Finds submodules only in library folders and in the folder of their package, whatever its `__path__` has."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None:
            # Its package is imported already, and of its `__path__` only the folder that has its file counts.
            file = getattr(sys.modules.get(fullname.rpartition(".")[0]), "__file__", None)
            own = [real(Path(file).parent)] if isinstance(file, str) else []
            path = _beneath([*_folders(), *_standard(), *own], path)
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
