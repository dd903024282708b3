"""What a model left on its stderr, read for people: its last lines, and the frames that faulthandler dumped there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Final, NamedTuple

from crunch_game.faults import is_foreign, printable, shortened
from crunch_game.hosts.output import FAREWELL, REMARK

__all__ = ["Dump", "Farewell", "dump_of", "farewell_of", "lines_of"]

_FATAL: Final = "Fatal Python error: "
_DUMP: Final = re.compile(r"^(?:Current thread|Thread|Stack) .*\(most recent call first\):$")
_FRAME: Final = re.compile(r'^  File "?(.*?)"?, line (\S+) in (.*)$')
_OTHERS: Final = re.compile(r"^(?:  \.\.\.$|  <no Python frame>$|Extension modules: )")
_ESCAPED: Final = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")
_LINES: Final = 10
_BYTES: Final = 4096
_OWN: Final = 20
"""Frames that are shown of a dump."""


class Dump(NamedTuple):
    """Where a process was.

    Attributes:
        frames: The participant's own, the innermost last, as the lines of a traceback; None if there are none.
        cut: Whether there were more than a dump has, as in recursion without end.
        headline: What Python said it was, as "Segmentation fault"; empty if it was only looked at.
    """

    frames: str | None
    cut: bool
    headline: str


class Farewell(NamedTuple):
    """Why our own code in a process could not go on.

    Attributes:
        reason: The error's type and text.
        frames: The participant's own, as the lines of a traceback; None if there are none.
    """

    reason: str
    frames: str | None


def lines_of(raw: bytes) -> str | None:
    """The last lines, without dumps and without our own remarks; None if nothing is left."""
    lines = [line for line, dumped in _sorted(raw) if not dumped and not line.startswith(REMARK)]
    # What a progress bar has written over is not what its reader saw.
    shown = [printable(line.rstrip("\r").rpartition("\r")[2]) for line in lines]
    text = "\n".join(shown).strip("\n")
    kept = "\n".join(text.rsplit("\n", _LINES)[-_LINES:])
    return (kept if len(kept) <= _BYTES else f"[...]{kept[-_BYTES:]}") or None


def dump_of(raw: bytes, *, fatal: bool = False) -> Dump | None:
    """The last dump; with `fatal` that of a crash."""
    lines = raw.decode(errors="replace").split("\n")
    headline = ""
    if fatal:
        crashes = [place for place, line in enumerate(lines) if line.startswith(_FATAL)]
        if not crashes:
            return None
        lines = lines[crashes[-1] :]
        headline = printable(lines[0].removeprefix(_FATAL))
    starts = [place for place, line in enumerate(lines) if _DUMP.match(line)]
    if not starts:
        return None
    rest = lines[starts[-1] + 1 :]
    found = list(takewhile(bool, map(_FRAME.match, rest)))
    frames = [(_unescaped(match[1]), match[2], _unescaped(match[3])) for match in found if match]
    return Dump(_traceback(frames[::-1]), rest[len(found) : len(found) + 1] == ["  ..."], headline)


def farewell_of(raw: bytes) -> Farewell | None:
    """The last lines of ours, if they say why the process ended by itself."""
    _, begun, text = raw.decode(errors="replace").rpartition(REMARK + FAREWELL)
    if not begun:
        return None
    reason, *rest = text.split("\n")
    frames = [line.removeprefix(REMARK) for line in takewhile(lambda line: line.startswith(REMARK), rest)]
    return Farewell(shortened(reason), shortened("\n".join(frames)) or None)


def _traceback(frames: list[tuple[str, str, str]]) -> str | None:
    """Frames, the outermost first, as text: those before the participant's are the process's own beginning."""
    ours = next((place for place, frame in enumerate(frames) if is_foreign(frame[0])), 0)
    own = [frame for frame in frames[ours:] if not is_foreign(frame[0])]
    lines = [printable(f'  File "{file}", line {number}, in {function}') for file, number, function in own]
    if len(lines) > _OWN:
        lines[_OWN // 2 : -_OWN // 2] = [f"  [{len(lines) - _OWN} frames more]"]
    return "\n".join(["Traceback (most recent call last):", *lines]) if lines else None


def _sorted(raw: bytes) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it belongs to a dump."""
    inside = False
    for line in raw.decode(errors="replace").split("\n"):
        begins = _DUMP.match(line) is not None
        inside = begins or (inside and bool(_FRAME.match(line) or _OTHERS.match(line)))
        yield line, inside or line.startswith("Extension modules: ")


def _unescaped(text: str) -> str:
    """Of a name what faulthandler wrote in ASCII."""
    return _ESCAPED.sub(lambda found: chr(min(int(found[1] or found[2] or found[3], 16), 0x10FFFF)), text)
