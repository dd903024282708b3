"""What to do about an error that comes of how a submission is laid out."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

_ABSENT: Final = re.compile(r"No module named '([\w.]+)'")
_MOST_LOOKED_AT: Final = 1_000
"""Entries of a folder: a participant may have put a million there."""


def hint_on(error: BaseException, entry: Path, source: Path) -> str:
    """What to do about an error of a submission's code, as the end of a sentence; nothing if its layout is fine.

    Args:
        error: What importing it, or making its model, raised.
        entry: The file that is run.
        source: The submission's file or folder.
    """
    with suppress(Exception):  # attributes of a participant's exception may raise anything
        return _on_notebook(error) or _on_hiding(error, source) or _on_neighbours(error, entry, source)
    return ""


def hiding(name: str, source: Path) -> str | None:
    """The file or folder of a submission that hides a module of that name elsewhere, as people write it."""
    top = name.partition(".")[0]
    own = _module_in(source, top) if source.is_dir() else None
    return f"{source.name}/{own}" if own is not None and _is_elsewhere(top, source) else None


def _on_notebook(error: BaseException) -> str:
    if isinstance(error, NameError) and error.name in ("get_ipython", "display"):
        return f"; only a notebook has {error.name}: delete the lines with it"
    return ""


def _on_hiding(error: BaseException, source: Path) -> str:
    if isinstance(error, AttributeError):
        module = error.obj
        name = module.__name__ if type(module) is ModuleType else ""
    else:
        name = (error.name or "") if isinstance(error, ImportError) else ""
    hides = hiding(name, source) if name else None
    if hides is None:
        return ""
    top = name.partition(".")[0]
    return f"; {hides} hides the module {top} that is installed: delete it if it is a copy, or rename it"


def _on_neighbours(error: BaseException, entry: Path, source: Path) -> str:
    alone = not source.is_dir()
    text = str(error)
    if isinstance(error, ModuleNotFoundError):
        absent = _ABSENT.search(text)
        if absent is None:
            return ""
        top = absent[1].partition(".")[0]
        beside = _module_in(source.parent, top)
        if alone:
            return _beside(entry, beside) if beside else ""
        if nested := _nested(source, top):
            return f"; it lies in {source.name}/{nested.parent}: move {source.name}/{nested} up into {source.name}"
        if beside and top != source.name:
            return f"; {beside} lies beside the folder {source.name}, and is no part of it: put it into {source.name}"
    elif isinstance(error, ImportError) and "attempted relative import" in text:
        if alone:
            return _beside(entry, "what it imports")
        return f"; nothing outside of the folder {source.name} is submitted: put what it imports into {source.name}"
    elif isinstance(error, OSError) and alone and isinstance(error.filename, str):
        data = entry.parent / Path(error.filename).name
        return _beside(entry, data.name) if data != entry and data.exists() else ""
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
    with suppress(OSError):
        if any(
            each.suffix == ".py" for _, each in zip(range(_MOST_LOOKED_AT), (folder / name).iterdir(), strict=False)
        ):
            return name
    return None


def _nested(source: Path, name: str) -> Path | None:
    """Where in the sub-folders of a submission a module of that name lies, relative to it."""
    for _, folder in zip(range(_MOST_LOOKED_AT), source.iterdir(), strict=False):
        if folder.is_dir() and not folder.name.startswith(".") and (found := _module_in(folder, name)) is not None:
            return Path(folder.name) / found
    return None


def _is_elsewhere(name: str, source: Path) -> bool:
    if name in sys.stdlib_module_names:
        return True
    path = [each for each in sys.path if each and not Path(each).resolve().is_relative_to(source)]
    return PathFinder.find_spec(name, path) is not None
