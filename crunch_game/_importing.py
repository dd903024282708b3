"""A submission's code as modules, imported so that two submissions may both have a `utils.py`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.machinery import BuiltinImporter, FrozenImporter
from pathlib import Path
from types import ModuleType
from typing import Any

from crunch_game.errors import LoadError
from crunch_game.faults import describe_exception
from crunch_game.sources import (
    ClassSource,
    FileSource,
    FolderSource,
    NameSource,
    NodeSource,
    SourceLike,
    entry_of,
    resolve,
    source_of,
)


class Scope(AbstractContextManager[None]):
    """While it is entered, `import` finds a submission's own modules before all others, and writes no bytecode.

    It is entered to import the submission. Where models share a process it is entered again around every call, since
    a method may import too; in a process of the model's own it is never left. What the submission adds to `sys.path`
    is taken away and brought back with it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._prefix = None if folder is None else f"{folder}{os.sep}"
        self._path = [] if folder is None else [str(folder)]
        self._names = set() if folder is None else set(_importable(folder))
        # An environment that lies in the folder has libraries in it, not modules of the submission.
        roots = {f"{root}{os.sep}" for root in (sys.prefix, sys.base_prefix)}
        self._interpreters = tuple(root for root in roots if self._prefix and root.startswith(self._prefix))
        self._own: dict[str, ModuleType] = {}
        self._hidden: dict[str, ModuleType] = {}
        self._others = frozenset(self._found())

    def add(self, module: ModuleType) -> None:
        """Make the module one of the submission's own."""
        self._names.add(module.__name__)
        self._hide()
        self._own[module.__name__] = sys.modules[module.__name__] = module

    def modules(self) -> tuple[ModuleType, ...]:
        """The submission's own modules, in the order of their import."""
        self._collect()
        return tuple(self._own.values())

    def __enter__(self) -> None:
        self._outer_path, self._dont_write = sys.path[:], sys.dont_write_bytecode
        self._inner_path = self._path + self._outer_path
        sys.path[:] = self._inner_path
        sys.dont_write_bytecode = True  # it would outlive a redeployment within one second, and be run instead
        self._hide()
        sys.modules.update(self._own)
        self._count = len(sys.modules)

    def __exit__(self, *exc: object) -> None:
        self._collect()
        for name in self._own:
            sys.modules.pop(name, None)
        sys.modules.update(self._hidden)
        self._hidden = {}
        if sys.path != self._inner_path:
            own_path = (entry for entry in sys.path if entry in self._path or entry not in self._outer_path)
            self._path = list(dict.fromkeys(own_path))
        sys.path[:] = self._outer_path
        sys.dont_write_bytecode = self._dont_write

    def _hide(self) -> None:
        """Put the modules away whose names the submission uses for its own."""
        found = {name: sys.modules[name] for name in self._names if name in sys.modules}
        if not found:
            return
        tops = {n for n, module in found.items() if module is not self._own.get(n) and not self._is_inside(module)}
        if tops:
            # With their sub-modules: one that stayed would be found in the package of the same name.
            for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
                self._hidden[name] = sys.modules.pop(name)

    def _collect(self) -> None:
        if len(sys.modules) != self._count:  # or looking through thousands of modules would be most of a call
            self._own.update({name: sys.modules[name] for name in self._found() if name not in self._others})

    def _found(self) -> list[str]:
        return [name for name, module in list(sys.modules.items()) if self._is_inside(module)] if self._prefix else []

    def _is_inside(self, module: Any) -> bool:
        attributes = getattr(module, "__dict__", {})
        file = attributes.get("__file__")
        if file is None:  # a folder without an __init__.py has a path instead
            path = list(attributes.get("__path__") or ())
            return bool(path) and all(map(self._covers, path))
        return self._covers(file)

    def _covers(self, place: Any) -> bool:
        if self._prefix is None or not isinstance(place, str):
            return False
        return place.startswith(self._prefix) and not place.startswith(self._interpreters)


def _importable(folder: Path) -> Iterator[str]:
    """The names that imports find in the folder before they look elsewhere."""
    for path in folder.iterdir():
        name = path.name if (path / "__init__.py").is_file() else inspect.getmodulename(path)
        # A built-in or frozen module, such as sys or os, is found before any file.
        if name and not name.startswith("__") and not any(i.find_spec(name) for i in (BuiltinImporter, FrozenImporter)):
            yield name


@dataclass(frozen=True)
class Code:
    """A submission's code, imported.

    Attributes:
        name: What people call the submission.
        modules: Its own modules: the entry first, then those that it imported.
        named: The object that the source names (a class, or "module:attr"), or None.
        scope: To be entered around whatever runs the code.
    """

    name: str
    modules: tuple[ModuleType, ...]
    named: Any
    scope: Scope


def import_code(source: SourceLike) -> Code:
    """Run a submission's entry, and with it what the entry imports.

    Raises:
        LoadError: There is nothing to run at `source`, or running it raised; the cause is chained.
    """
    match source_of(source):
        case ClassSource(cls):
            return Code(cls.__name__, (), cls, Scope())
        case NameSource(reference):
            return _import_named(reference)
        case NodeSource() as node:
            raise LoadError(f"{node} is the address of a model node, which has the code; play it with a NodeHost")
        case FileSource(path) | FolderSource(path):
            return _import_file(entry_of(path), path.resolve())


def _import_named(reference: str) -> Code:
    module, _, attribute = reference.partition(":")
    try:
        return Code(reference, (resolve(module),), resolve(reference) if attribute else None, Scope())
    except BaseException as error:
        raise _failed(reference, error) from error


def _import_file(entry: Path, source: Path) -> Code:
    scope, name, search = _place(entry, source)
    spec = importlib.util.spec_from_file_location(name, entry, submodule_search_locations=search)
    if spec is None or spec.loader is None:
        raise LoadError(f"{source.name}: {entry.name} cannot be imported")
    importlib.invalidate_caches()  # a redeployment may have brought modules a moment ago
    with scope:
        module = importlib.util.module_from_spec(spec)
        scope.add(module)
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            raise _failed(source.name, error) from error
        modules = scope.modules()
    return Code(source.name, (module, *(own for own in modules if own is not module)), None, scope)


def _place(entry: Path, source: Path) -> tuple[Scope, str, list[str] | None]:
    """Where the entry's imports look, its module name, and its sub-modules' folder when it is a package."""
    if entry.name == "__init__.py":
        folder = entry.parent
        return Scope(folder if folder == source else source), folder.name, [str(folder)]
    if source.is_dir():
        return Scope(source), entry.stem, None
    # The name must shadow no module: a participant's file may well be called queue.py.
    return Scope(), f"submission_{entry.stem}", None


def _failed(name: str, error: BaseException) -> LoadError:
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        raise error
    return LoadError(f"{name}: importing it raised {describe_exception(error)}")


def main_of() -> dict[str, str]:
    """How another process gets this one's `__main__`: {"name": ...} or {"path": ...}; empty where there is no way."""
    module = sys.modules["__main__"]
    spec = getattr(module, "__spec__", None)
    if spec is not None and spec.name:
        return {"name": spec.name}
    file = getattr(module, "__file__", None)
    return {"path": str(Path(file).resolve())} if file and Path(file).is_file() else {}


def run_main(main: dict[str, str]) -> None:
    """Make another process's `__main__` this one's, as multiprocessing's spawn does: under the name `__mp_main__`."""
    if not main:
        return
    from multiprocessing import spawn

    spawn.prepare({f"init_main_from_{how}": where for how, where in main.items()})
    alias_main()


def alias_main() -> None:
    """Let submissions import a script by its file's name, and get the very module that runs."""
    module = sys.modules["__main__"]
    file = getattr(module, "__file__", None)
    if file:
        sys.modules.setdefault(Path(file).stem, module)
