"""Which installed libraries submissions import: read from their source, never by running it."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from crunch_game.errors import LoadError
from crunch_game.importing import entry_of
from crunch_game.models import Submission

__all__ = ["libraries_of"]

# grpc must not be imported before a fork, and these need no preloading.
_NEVER = {"grpc", "crunch_game", "__main__"}


def libraries_of(submissions: Iterable[Submission]) -> list[str]:
    """The dotted names of the installed libraries that the submissions import, sorted."""
    found = {name for submission in submissions for file in _files(submission) for name in _imports(file)}
    return sorted(name for name in found if _is_library(name.partition(".")[0]))


def _files(submission: Submission) -> Iterator[Path]:
    if isinstance(submission.source, type):
        return
    try:
        entry = entry_of(Path(submission.source))
    except LoadError:
        return
    yield from sorted(entry.parent.glob("*.py")) if Path(submission.source).is_dir() else (entry,)


def _imports(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module


def _is_library(name: str) -> bool:
    if name in sys.stdlib_module_names or name in _NEVER:
        return False
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
