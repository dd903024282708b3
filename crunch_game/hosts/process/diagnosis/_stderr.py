"""The end of a model's stderr: its last lines, the dumps of faulthandler, and the errors of our own code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Final, NamedTuple

from crunch_game.faults import is_foreign, printable, shortened
from crunch_game.hosts.process.child import FATAL_PREFIX, NOTE_PREFIX

_FATAL: Final = "Fatal Python error: "
_DUMP: Final = re.compile(r"^(?:Current thread|Thread|Stack) .*\(most recent call first\):$")
_FRAME: Final = re.compile(r'^  File "?(.*?)"?, line (\S+) in (.*)$')
_OTHERS: Final = re.compile(r"^(?:  \.\.\.$|  <no Python frame>$|Extension modules: )")
_ESCAPED: Final = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")
_MAX_LINES: Final = 10
_MAX_CHARACTERS: Final = 4096
_MAX_FRAMES: Final = 20
"""Frames that are shown of a dump."""


class Dump(NamedTuple):
    """What faulthandler wrote about a process.

    Attributes:
        frames: The participant's frames, the innermost last, as in a traceback; None if there are none.
        cut: Whether the process had more frames than faulthandler writes, as in endless recursion.
        headline: What Python calls the crash, as "Segmentation fault"; empty if the process was only asked.
    """

    frames: str | None
    cut: bool
    headline: str


class FatalError(NamedTuple):
    """What `report_fatal_error` wrote: why our own code in a process could not go on.

    Attributes:
        reason: The error's type and text.
        frames: The participant's frames, as in a traceback; None if there are none.
    """

    reason: str
    frames: str | None


def last_lines(raw: bytes, max_lines: int = _MAX_LINES, max_characters: int = _MAX_CHARACTERS) -> str | None:
    """Return the last lines, without dumps and our own notes; None if nothing is left."""
    lines = [line for line, dumped in _with_dump_flags(raw) if not dumped and not line.startswith(NOTE_PREFIX)]
    # A progress bar overwrites its line with \r: only the last version was visible.
    shown = [printable(line.rstrip("\r").rpartition("\r")[2]) for line in lines]
    text = "\n".join(shown).strip("\n")
    kept = "\n".join(text.rsplit("\n", max_lines)[-max_lines:])
    return (kept if len(kept) <= max_characters else f"[...]{kept[-max_characters:]}") or None


def dump_in(raw: bytes, *, fatal: bool = False) -> Dump | None:
    """Return the last dump; with `fatal`, the last one of a crash."""
    lines = raw.decode(errors="replace").split("\n")
    headline = ""
    if fatal:
        crashes = [place for place, line in enumerate(lines) if line.startswith(_FATAL)]
        if not crashes:
            return None
        lines = lines[crashes[-1] :]
        headline = printable(lines[0].removeprefix(_FATAL))
    # The last one: a model may have been asked several times where it is.
    starts = [place for place, line in enumerate(lines) if _DUMP.match(line)]
    if not starts:
        return None
    rest = lines[starts[-1] + 1 :]
    found = list(takewhile(bool, map(_FRAME.match, rest)))
    frames = [(_unescape(match[1]), match[2], _unescape(match[3])) for match in found if match]
    return Dump(_traceback(frames[::-1]), rest[len(found) : len(found) + 1] == ["  ..."], headline)


def fatal_error_in(raw: bytes) -> FatalError | None:
    """Return the last fatal error that our own code has reported, if any."""
    _, begun, text = raw.decode(errors="replace").rpartition(NOTE_PREFIX + FATAL_PREFIX)
    if not begun:
        return None
    reason, *rest = text.split("\n")
    frames = [line.removeprefix(NOTE_PREFIX) for line in takewhile(lambda line: line.startswith(NOTE_PREFIX), rest)]
    return FatalError(shortened(reason), shortened("\n".join(frames)) or None)


def _traceback(frames: list[tuple[str, str, str]]) -> str | None:
    """Format the participant's frames, the outermost first. Those before our own frames started the process."""
    ours = next((place for place, frame in enumerate(frames) if is_foreign(frame[0])), 0)
    own = [frame for frame in frames[ours:] if not is_foreign(frame[0])]
    lines = [printable(f'  File "{file}", line {number}, in {function}') for file, number, function in own]
    if len(lines) > _MAX_FRAMES:
        lines[_MAX_FRAMES // 2 : -_MAX_FRAMES // 2] = [f"  [{len(lines) - _MAX_FRAMES} frames more]"]
    return "\n".join(["Traceback (most recent call last):", *lines]) if lines else None


def _with_dump_flags(raw: bytes) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it belongs to a dump."""
    inside = False
    for line in raw.decode(errors="replace").split("\n"):
        begins = _DUMP.match(line) is not None
        inside = begins or (inside and bool(_FRAME.match(line) or _OTHERS.match(line)))
        yield line, inside or line.startswith("Extension modules: ")


def _unescape(text: str) -> str:
    """Decode a name, of which faulthandler escapes what is not ASCII."""
    return _ESCAPED.sub(lambda found: chr(min(int(found[1] or found[2] or found[3], 16), 0x10FFFF)), text)
