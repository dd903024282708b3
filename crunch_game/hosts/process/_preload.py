"""Finds the installed libraries that submissions import, without running or parsing their code.

Python's parser must not read participants' code in the coordinator: one line of `import a.a.a...` makes it use up all
memory. So import statements are found by a pattern. Where it errs, a library is imported needlessly, or by its model.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from crunch_game.errors import LoadError
from crunch_game.hosts.process._installed import places_of
from crunch_game.models import Submission
from crunch_game.sandbox import is_beneath, real
from crunch_game.sources import ClassSource, FileSource, FolderSource, entry_of

# grpc does not survive a fork; the others are loaded anyway.
_NEVER: Final = {"grpc", "crunch_game", "__main__"}
_LAZY_IMPORTS: Final = {"numpy": ("numpy.ma",)}
"""What a library imports only when one of its functions is first called, here `numpy.quantile`. It takes 20 ms and
4 MiB, which every model would pay, and all of them in the same call."""
_MAX_SOURCE_BYTES: Final = 1 << 18
"""Bytes that are read of one submission's source."""

# Each alternative matches to the end of what it has begun, so that no text makes the search backtrack.
_STATEMENTS: Final = re.compile(
    r"""
    '''(?:\\.|[^\\])*?(?:'''|\\?\Z) | \"""(?:\\.|[^\\])*?(?:\"""|\\?\Z)
    | '(?:\\.|[^'\\\n])*'? | "(?:\\.|[^"\\\n])*"?
    | \#[^\n]*
    | (?:^|[;:])[ \t]*(?:import[ \t]+(?P<names>[^\n;\#]+) | from[ \t]+(?P<module>\w[\w.]*)[ \t]+import\b)
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)
# Not private modules and __main__: they are not meant to be imported, and doing so may have any effect.
_NAME: Final = re.compile(r"[^\W\d_]\w*(?:\.[^\W\d_]\w*){0,9}")


def libraries_of(submissions: Iterable[Submission]) -> list[str]:
    """Return the dotted names of the installed libraries that the submissions import, sorted."""
    known = list(submissions)
    found = {name for submission in known for name in _imports(_text(submission))}
    tops = {name.partition(".")[0] for name in found} - set(sys.stdlib_module_names) - _NEVER
    sources = [submission.source for submission in known if not isinstance(submission.source, ClassSource)]
    # A submission may have the name of a library, or be in a library folder.
    theirs = [real(place) for source in sources if (place := source.place)]
    libraries = {top for top in tops if _is_library(top, theirs)}
    return sorted(name for name in found if name.partition(".")[0] in libraries)


def with_lazy_imports(libraries: Iterable[str]) -> list[str]:
    """Return the libraries, and what they import lazily."""
    named = list(libraries)
    tops = {name.partition(".")[0] for name in named}
    lazy = (part for top, parts in _LAZY_IMPORTS.items() if top in tops for part in parts)
    return list(dict.fromkeys([*named, *lazy]))


def _text(submission: Submission) -> str:
    """The source of a submission's own modules, one after the other."""
    if not isinstance(submission.source, FileSource | FolderSource):
        return ""
    try:
        entry = entry_of(submission.source.path)
    except LoadError:
        return ""
    files = sorted(entry.parent.glob("*.py")) if isinstance(submission.source, FolderSource) else [entry]
    left, texts = _MAX_SOURCE_BYTES, []
    for file in files:
        with suppress(OSError):
            if left <= 0 or not file.is_file():  # the coordinator would wait for ever for a named pipe
                continue
            with file.open("rb") as stream:
                text = stream.read(left)
            left -= len(text)
            texts.append(text.decode(errors="replace"))
    return "\n".join(texts)


def _imports(text: str) -> Iterator[str]:
    for statement in _STATEMENTS.finditer(text):
        names = statement["module"] or statement["names"] or ""
        for name in names.split(","):
            dotted = name.split()[:1]
            if dotted and _NAME.fullmatch(dotted[0]):
                yield dotted[0]


def _is_library(name: str, submissions: Iterable[str]) -> bool:
    """Whether a library of that name is installed that is not a submission itself, nor contains submissions."""
    places = [real(place) for place in places_of(name)]
    return bool(places) and not any(
        is_beneath(place, [each]) or is_beneath(each, [place]) for place in places for each in submissions
    )
