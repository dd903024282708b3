"""Which installed libraries submissions import: read from their text, never by running or even parsing it.

Python's own parser is not for strangers' code in the coordinator: one line of `import a.a.a...` makes it take all
memory. So statements are found by their looks. Where that errs, a library is imported early, or later by its model.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from crunch_game.errors import LoadError
from crunch_game.hosts.installed import places_of
from crunch_game.hosts.surroundings import is_beneath, real
from crunch_game.models import Submission
from crunch_game.sources import ClassSource, FileSource, FolderSource, entry_of

__all__ = ["libraries_of", "with_late_parts"]

# grpc must not be imported before a fork, and these need no preloading.
_NEVER: Final = {"grpc", "crunch_game", "__main__"}
_LATE: Final = {"numpy": ("numpy.ma",)}
"""What a library imports when a function of its is first called, here `numpy.quantile`: 20 ms and 4 MiB, which each
model would pay in a call, and all of a field in the same one."""
_MOST: Final = 1 << 18
"""Bytes that are read of one submission's source."""

# Each alternative takes what it has begun to its end, so that no text makes the search go back.
_STATEMENTS: Final = re.compile(
    r"""
    '''(?:\\.|[^\\])*?(?:'''|\\?\Z) | \"""(?:\\.|[^\\])*?(?:\"""|\\?\Z)
    | '(?:\\.|[^'\\\n])*'? | "(?:\\.|[^"\\\n])*"?
    | \#[^\n]*
    | (?:^|[;:])[ \t]*(?:import[ \t]+(?P<names>[^\n;\#]+) | from[ \t]+(?P<module>\w[\w.]*)[ \t]+import\b)
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
# Private modules and __main__ are no part of what a library offers: importing them may do anything.
_NAME: Final = re.compile(r"[^\W\d_]\w*(?:\.[^\W\d_]\w*){0,9}")


def libraries_of(submissions: Iterable[Submission]) -> list[str]:
    """The dotted names of the installed libraries that the submissions import, sorted."""
    known = list(submissions)
    found = {name for submission in known for name in _imports(_text(submission))}
    tops = {name.partition(".")[0] for name in found} - set(sys.stdlib_module_names) - _NEVER
    theirs = [real(place) for submission in known if (place := _place(submission))]
    libraries = {top for top in tops if _is_library(top, theirs)}
    return sorted(name for name in found if name.partition(".")[0] in libraries)


def with_late_parts(libraries: Iterable[str]) -> list[str]:
    """The libraries, and what they would import later."""
    named = list(libraries)
    tops = {name.partition(".")[0] for name in named}
    late = (part for top, parts in _LATE.items() if top in tops for part in parts)
    return list(dict.fromkeys([*named, *late]))


def _text(submission: Submission) -> str:
    """The source of a submission's own modules, one after the other."""
    if not isinstance(submission.source, FileSource | FolderSource):
        return ""
    try:
        entry = entry_of(submission.source.path)
    except LoadError:
        return ""
    files = sorted(entry.parent.glob("*.py")) if isinstance(submission.source, FolderSource) else [entry]
    left, texts = _MOST, []
    for file in files:
        text = _read(file, left)
        left -= len(text)
        texts.append(text.decode(errors="replace"))
    return "\n".join(texts)


def _read(file: Path, most: int) -> bytes:
    try:
        if most > 0 and file.is_file():  # no pipe, on which the coordinator would wait for ever
            with file.open("rb") as stream:
                return stream.read(most)
    except OSError:
        pass
    return b""


def _imports(text: str) -> Iterator[str]:
    for statement in _STATEMENTS.finditer(text):
        names = statement["module"] or statement["names"] or ""
        for name in names.split(","):
            dotted = name.split()[:1]
            if dotted and _NAME.fullmatch(dotted[0]):
                yield dotted[0]


def _place(submission: Submission) -> Path | None:
    return None if isinstance(submission.source, ClassSource) else submission.source.place


def _is_library(name: str, submissions: Iterable[str]) -> bool:
    """Whether an installed library has the name: neither one that is a submission, nor one that submissions lie in."""
    places = [real(place) for place in places_of(name)]
    return bool(places) and not any(
        is_beneath(place, [each]) or is_beneath(each, [place]) for place in places for each in submissions
    )
