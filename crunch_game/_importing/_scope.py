"""Which modules are a submission's own, and when `import` finds them."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder
from keyword import iskeyword
from pathlib import Path
from types import ModuleType
from typing import Any

from crunch_game._importing._main import EntryAsMain
from crunch_game._importing._members import Members


class Scope(AbstractContextManager[None]):
    """While it is entered, `import` finds a submission's own modules before all others, and writes no bytecode.

    It is entered to import the submission. Where models share a process it is entered again around every call, since
    a method may import too; in a process of the model's own it is never left. What the submission adds to `sys.path`
    is taken away and brought back with it.

    Attributes:
        hidden: The names of modules that were found hidden by the submission's own, also once they are shown again.

    Args:
        folder: The submission's folder; None where it has no modules but its entry.
        package: The name of the folder as a package; one that no other module has unless told.
    """

    def __init__(self, folder: Path | None = None, package: str | None = None) -> None:
        self._prefix = None if folder is None else f"{folder}{os.sep}"
        self._path = [] if folder is None else [str(folder)]
        self._names = set() if folder is None else set(_importable(folder))
        # An environment that lies in the folder has libraries in it, not modules of the submission.
        roots = {f"{root}{os.sep}" for root in (sys.prefix, sys.base_prefix)}
        self._interpreters = tuple(root for root in roots if self._prefix and root.startswith(self._prefix))
        self._own: dict[str, ModuleType] = {}
        self._hidden: dict[str, ModuleType] = {}
        self.hidden: set[str] = set()
        self._others = frozenset(self._found())
        self._members = None if folder is None else Members(folder, package or _free_name(folder))
        self._entry: ModuleType | None = None

    def add(self, spec: ModuleSpec) -> ModuleType:
        """Make a module, yet to be run, and one of the submission's own: its entry."""
        if self._members is not None and spec.name != self._members.package:
            spec = self._members.member(spec)
        module = self._entry = importlib.util.module_from_spec(spec)
        self._names.add(module.__name__)
        self._hide()
        self._own[module.__name__] = sys.modules[module.__name__] = module
        self._put_main()
        return module

    def modules(self) -> tuple[ModuleType, ...]:
        """The submission's own modules, in the order of their import."""
        self._collect()
        package = self._members.package if self._members is not None else None
        # Neither a folder that is a package in name only, nor what has a second name in it.
        own = (each for name, each in self._own.items() if name != package or getattr(each, "__file__", None))
        return tuple(dict.fromkeys(own))

    def __enter__(self) -> None:
        self._outer_path, self._dont_write = sys.path[:], sys.dont_write_bytecode
        self._inner_path = self._path + self._outer_path
        sys.path[:] = self._inner_path
        sys.dont_write_bytecode = True  # it would outlive a redeployment within one second, and be run instead
        if self._members is not None:
            finders = [each is PathFinder for each in sys.meta_path]
            sys.meta_path.insert(finders.index(True) if True in finders else len(finders), self._members)
        self._hide()
        self._put_main()
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
        if self._members in sys.meta_path:
            sys.meta_path.remove(self._members)
        sys.dont_write_bytecode = self._dont_write

    def _hide(self) -> None:
        """Put the modules away whose names the submission uses for its own."""
        found = {name: sys.modules[name] for name in self._names if name in sys.modules}
        if not found:
            return
        tops = {n for n, module in found.items() if module is not self._own.get(n) and not self._is_inside(module)}
        if tops:
            self.hidden |= tops
            # With their sub-modules: one that stayed would be found in the package of the same name.
            for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
                self._hidden[name] = sys.modules.pop(name)

    def _put_main(self) -> None:
        """Let the entry's names be found in `__main__`, until the scope is left."""
        if self._entry is not None and "__main__" not in self._hidden:
            script = self._hidden["__main__"] = sys.modules["__main__"]
            sys.modules["__main__"] = EntryAsMain(self._entry, script)

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
        return f"{place}{os.sep}".startswith(self._prefix) and not place.startswith(self._interpreters)


def _importable(folder: Path) -> Iterator[str]:
    """The names that imports find in the folder before they look elsewhere."""
    for path in folder.iterdir():
        name = path.name if os.access(path / "__init__.py", os.F_OK) else inspect.getmodulename(path)
        # A built-in or frozen module, such as sys or os, is found before any file.
        if name and not name.startswith("__") and not any(i.find_spec(name) for i in (BuiltinImporter, FrozenImporter)):
            yield name


def _free_name(folder: Path) -> str:
    """What the folder is called as a package: as people who run it from outside call it, if nothing else is."""
    name = folder.name
    taken = not name.isidentifier() or iskeyword(name) or name in sys.builtin_module_names or name in sys.modules
    if taken or PathFinder.find_spec(name, [str(folder), *sys.path]) is not None:
        return f"submission_{name.replace('.', '_')}"
    return name
