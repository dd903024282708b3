"""What to do about an error that comes of how a submission is laid out."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

from crunch_game._importing._scope import Scope
from crunch_game.sources import may_have_model

_ABSENT: Final = re.compile(r"No module named '([\w.]+)'")
_MOST_LOOKED_AT: Final = 1_000
"""Entries of a folder: a participant may have put a million there."""


@dataclass(frozen=True)
class Layout:
    """How a submission's files lie.

    Attributes:
        entry: The file that is run.
        source: The submission's file or folder.
        scope: In which it is run.
    """

    entry: Path
    source: Path
    scope: Scope

    def hint_on(self, error: BaseException) -> str:
        """What to do about an error of the submission's code, as the end of a sentence; nothing if its layout is fine.

        Args:
            error: What importing it, or making its model, raised.
        """
        with suppress(Exception):  # attributes of a participant's exception may raise anything
            return _on_notebook(error) or self._on_hiding(error) or self._on_neighbours(error)
        return ""

    def hiding(self, module: str) -> str | None:
        """The file or folder of the submission that hides an installed module of that name; None if there is none."""
        top = module.partition(".")[0]
        own = _module_in(self.source, top) if self.source.is_dir() else None
        return f"{self.source.name}/{own}" if own is not None and self._is_elsewhere(top) else None

    def aside(self) -> str:
        """Where no model was looked for though it may be there, as the end of a sentence: beside the one package."""
        if self.entry.parent in (self.source, self.source.parent):
            return ""
        files = sorted(filter(may_have_model, (path.name for path in self.source.glob("*.py"))))
        package = self.entry.parent.name
        return f" in the package {package}; if it is in {files[0]}, rename that to main.py" if files else ""

    def _on_hiding(self, error: BaseException) -> str:
        if isinstance(error, AttributeError):
            module = error.obj
            name = module.__name__ if type(module) is ModuleType else ""
        else:
            name = (error.name or "") if isinstance(error, ImportError) else ""
        hides = self.hiding(name) if name else None
        if hides is None:
            return ""
        top = name.partition(".")[0]
        return f"; {hides} hides the module {top} that is installed: delete it if it is a copy, or rename it"

    def _on_neighbours(self, error: BaseException) -> str:
        alone, folder, text = not self.source.is_dir(), self.source.name, str(error)
        if isinstance(error, ModuleNotFoundError):
            absent = _ABSENT.search(text)
            if absent is None:
                return ""
            top = absent[1].partition(".")[0]
            beside = _module_in(self.source.parent, top)
            if alone:
                return _beside(self.entry, beside) if beside else ""
            if nested := _nested(self.source, top):
                return f"; it lies in {folder}/{nested.parent}: move {folder}/{nested} up into {folder}"
            if beside and top != folder:
                return f"; {beside} lies beside the folder {folder}, and is no part of it: put it into {folder}"
        elif isinstance(error, ImportError) and "attempted relative import" in text:
            if alone:
                return _beside(self.entry, "what it imports")
            return f"; nothing outside of the folder {folder} is submitted: put what it imports into {folder}"
        elif isinstance(error, OSError) and alone and isinstance(error.filename, str):
            data = self.entry.parent / Path(error.filename).name
            return _beside(self.entry, data.name) if data != self.entry and data.exists() else ""
        return ""

    def _is_elsewhere(self, name: str) -> bool:
        if name in sys.stdlib_module_names or name in self.scope.hidden:  # in a sandbox not all paths can be searched
            return True
        path = [each for each in sys.path if each and not Path(each).resolve().is_relative_to(self.source)]
        return PathFinder.find_spec(name, path) is not None


def _on_notebook(error: BaseException) -> str:
    if isinstance(error, NameError) and error.name in ("get_ipython", "display"):
        return f"; only a notebook has {error.name}: delete the lines with it"
    return ""


def _beside(entry: Path, neighbour: str) -> str:
    """What to do where a single file wants what lies beside it."""
    return (
        f"; of a single file nothing that lies beside it is submitted: make a folder, and put into it {entry.name}, "
        f"renamed to main.py, and {neighbour}"
    )


def _module_in(folder: Path, name: str) -> str | None:
    """The name of the file, or of the folder with Python files, that `import name` would find in a folder."""
    if (folder / f"{name}.py").is_file():
        return f"{name}.py"
    inside = folder / name
    try:
        found = any(each.suffix == ".py" for _, each in zip(range(_MOST_LOOKED_AT), inside.iterdir(), strict=False))
    except PermissionError:
        found = True  # in a sandbox, a neighbour cannot be looked into
    except OSError:
        found = False
    return name if found else None


def _nested(source: Path, name: str) -> Path | None:
    """Where in the sub-folders of a submission a module of that name lies, relative to it."""
    for _, folder in zip(range(_MOST_LOOKED_AT), source.iterdir(), strict=False):
        if folder.is_dir() and not folder.name.startswith(".") and (found := _module_in(folder, name)) is not None:
            return Path(folder.name) / found
    return None
