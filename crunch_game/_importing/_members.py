"""A submission's folder as a package: `from .helper import x` and `import helper` lead to one and the same module."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any


class MemberSpec(ModuleSpec):
    """The spec of a module that stands in the folder, for which the folder is the package around it."""

    package = ""

    @classmethod
    def of(cls, spec: ModuleSpec, package: str) -> MemberSpec:
        """The same spec in a package."""
        member = cls(spec.name, spec.loader, origin=spec.origin, loader_state=spec.loader_state)
        member.submodule_search_locations = spec.submodule_search_locations
        member.has_location, member.cached = spec.has_location, spec.cached
        member.package = package
        return member

    @property
    def parent(self) -> str:
        """What the module's relative imports are relative to."""
        inner = super().parent
        return f"{self.package}.{inner}" if inner else self.package


class Members(MetaPathFinder):
    """Finds what is in a submission's folder. It stands before Python's own finder of files.

    A module keeps the name that it has where one runs `python main.py`, since that is in people's pickles. Relative
    imports lead to it by another name, that of the package and its own, which is an alias.

    Args:
        folder: The submission's folder.
        package: The name that it has as a package.
    """

    def __init__(self, folder: Path, package: str) -> None:
        self.package = package
        self._folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module of the folder, of an alias of one, or of whatever else Python finds on its path."""
        if fullname == self.package:
            return self._package_spec()
        top, _, rest = fullname.partition(".")
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None:
            return None
        if top == self.package:
            return ModuleSpec(fullname, _Alias(rest)) if self._leads_inside(rest) else spec
        return MemberSpec.of(spec, self.package) if self._is_member(spec) else spec

    def member(self, spec: ModuleSpec) -> MemberSpec:
        """The spec of the entry, as one of the folder's own."""
        return MemberSpec.of(spec, self.package)

    def _package_spec(self) -> ModuleSpec:
        init = self._folder / "__init__.py"
        loader = _LazyInit(self.package, str(init)) if init.is_file() else None
        spec = ModuleSpec(self.package, loader, origin=str(init) if loader else None, is_package=True)
        spec.has_location = loader is not None
        spec.submodule_search_locations = [str(self._folder)]
        return spec

    def _leads_inside(self, name: str) -> bool:
        """Whether `import name` leads into the folder; a built-in module or a library may have the name."""
        module = sys.modules.get(name)
        if module is not None:
            spec = getattr(module, "__spec__", None)
            return spec is not None and self._is_member(spec)
        if "." in name:
            return self._leads_inside(name.rpartition(".")[0])
        spec = PathFinder.find_spec(name)
        return spec is not None and self._is_member(spec) and name not in sys.builtin_module_names

    def _is_member(self, spec: ModuleSpec) -> bool:
        """Whether a module stands in the folder itself, or in a package that does."""
        around = spec.name.rpartition(".")[0]
        if around:
            parent = getattr(sys.modules.get(around), "__spec__", None)
            return isinstance(parent, MemberSpec) and parent.package == self.package
        if spec.submodule_search_locations is not None:
            return all(Path(place).parent == self._folder for place in spec.submodule_search_locations)
        return spec.has_location and spec.origin is not None and Path(spec.origin).parent == self._folder


class _Alias(Loader):
    """Gives a module that has another name already, or imports it by that."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        __import__(self._name)
        module = sys.modules[self._name]
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has put the alias's in its place


class _LazyInit(SourceFileLoader):
    """Runs the `__init__.py` beside a main.py when something is asked for that only it can have.

    Who runs `python main.py` does not run it either, and it may well import from main.py, which is not done yet.
    """

    def exec_module(self, module: ModuleType) -> None:
        run: Callable[[ModuleType], None] = super().exec_module

        def look_up(name: str) -> Any:
            if name.startswith("__") or PathFinder.find_spec(f"{module.__name__}.{name}", module.__path__):
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            del module.__getattr__
            run(module)
            return getattr(module, name)

        module.__getattr__ = look_up  # type: ignore[method-assign]
