"""From a submission's source to its code, imported."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from crunch_game._importing._hints import Layout
from crunch_game._importing._scope import Scope
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


@dataclass(frozen=True)
class Code:
    """A submission's code, imported.

    Attributes:
        name: What people call the submission.
        modules: Its own modules: the entry first, then those that it imported.
        named: The object that the source names (a class, or "module:attr"), or None.
        scope: To be entered around whatever runs the code.
        layout: How its files lie; None where it is not a file or folder of its own.
    """

    name: str
    modules: tuple[ModuleType, ...]
    named: Any
    scope: Scope
    layout: Layout | None = None

    def described(self, error: BaseException) -> str:
        """An error of this code: its type and text, and what to do if it comes of how the submission is laid out."""
        return describe_exception(error) + (self.layout.hint_on(error) if self.layout is not None else "")


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
    layout = Layout(entry, source, scope)
    importlib.invalidate_caches()  # a redeployment may have brought modules a moment ago
    with scope:
        module = scope.add(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            raise _failed(source.name, error, layout.hint_on(error)) from error
        modules = scope.modules()
    return Code(source.name, (module, *(own for own in modules if own is not module)), None, scope, layout)


def _place(entry: Path, source: Path) -> tuple[Scope, str, list[str] | None]:
    """Where the entry's imports look, its module name, and its sub-modules' folder when it is a package."""
    if entry.name == "__init__.py":
        folder = entry.parent
        scope = Scope(folder, folder.name) if folder == source else Scope(source)
        return scope, folder.name, [str(folder)]
    if source.is_dir():
        return Scope(source), entry.stem, None
    # The name must shadow no module: a participant's file may well be called queue.py.
    return Scope(), f"submission_{entry.stem}", None


def _failed(name: str, error: BaseException, hint: str = "") -> LoadError:
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        raise error
    return LoadError(f"{name}: importing it raised {describe_exception(error)}{hint}")
