"""A submission's code as modules, imported so that two submissions may both have a `utils.py`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from crunch_game.errors import LoadError
from crunch_game.faults import said

__all__ = ["Code", "Scope", "alias_main", "entry_of", "import_code", "main_of", "run_main"]


class Scope(AbstractContextManager[None]):
    """While it is entered, a submission's own modules are the ones that `import` finds.

    It is entered to import the submission, and again around every call of its model in a shared process, since
    a method may import too. In a process of the model's own it is never left.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._own: dict[str, ModuleType] = {}
        self._hidden: dict[str, ModuleType] = {}

    def add(self, module: ModuleType) -> None:
        """Make the module one of the submission's own."""
        self._own[module.__name__] = sys.modules[module.__name__] = module

    def modules(self) -> tuple[ModuleType, ...]:
        """The submission's own modules, in the order of their import."""
        self._collect()
        return tuple(self._own.values())

    def __enter__(self) -> None:
        if self._folder is not None:
            sys.path.insert(0, str(self._folder))
            names = {path.stem for path in self._folder.iterdir() if path.suffix == ".py" or path.is_dir()}
            self._hidden = {
                n: m for n, m in sys.modules.items() if n.partition(".")[0] in names and not self._is_own(m)
            }
        for name in self._hidden:
            del sys.modules[name]
        sys.modules.update(self._own)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._collect()
        for name in self._own:
            sys.modules.pop(name, None)
        sys.modules.update(self._hidden)
        if self._folder is not None and str(self._folder) in sys.path:
            sys.path.remove(str(self._folder))

    def _collect(self) -> None:
        if self._folder is not None:
            self._own.update({name: module for name, module in sys.modules.items() if self._is_own(module)})

    def _is_own(self, module: Any) -> bool:
        file = getattr(module, "__file__", None)
        return isinstance(file, str) and self._folder is not None and Path(file).is_relative_to(self._folder)


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


def import_code(source: type | str | Path) -> Code:
    """Run a submission's entry, and with it what the entry imports.

    Raises:
        LoadError: There is nothing to run at `source`, or running it raised; the cause is chained.
    """
    if isinstance(source, type):
        return Code(source.__name__, (), source, Scope())
    if isinstance(source, str) and not Path(source).exists() and not source.endswith(".py") and "/" not in source:
        return _import_named(source)
    entry = entry_of(Path(source))
    return _import_file(entry, Path(source).resolve())


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
    packages = sorted(_packages(path))
    if len(packages) == 1:
        return packages[0]
    found = f"{len(packages)} packages" if packages else "no package"
    raise LoadError(f"the folder {path.name} has no main.py and {found}; give it a main.py, or exactly one package")


def _packages(folder: Path) -> Iterator[Path]:
    for init in folder.glob("*/__init__.py"):
        if not init.parent.name.startswith((".", "_")):
            yield init


def _import_named(source: str) -> Code:
    module_name, _, attribute = source.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
        module = found
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
    except BaseException as error:
        raise _failed(source, error) from error
    return Code(source, (module,), found if attribute else None, Scope())


def _import_file(entry: Path, source: Path) -> Code:
    scope, name, search = _place(entry, source)
    spec = importlib.util.spec_from_file_location(name, entry, submodule_search_locations=search)
    if spec is None or spec.loader is None:
        raise LoadError(f"{source.name}: {entry.name} cannot be imported")
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
    return LoadError(f"{name}: importing it raised {said(error)}")


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
