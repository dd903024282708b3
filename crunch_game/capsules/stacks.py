"""Where a participant's code was: frames that can be sent to another process, shown, and stopped at."""

from __future__ import annotations

import re
import traceback
from pathlib import Path
from types import FrameType
from typing import Final

import msgspec

from crunch_game import faults
from crunch_game.faults import describe_exception, own_stack

__all__ = ["Frame", "Stack", "dumped", "is_foreign", "relative", "returned_at", "stacks_of", "text_of"]

_LONGEST_CHAIN: Final = 5
_DUMPED = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)


class Frame(msgspec.Struct, frozen=True):
    """One line of a traceback."""

    file: str
    line: int
    name: str


class Stack(msgspec.Struct, frozen=True):
    """One exception: its type, its text, its frames, and whether it was the direct cause of the one before."""

    kind: str
    text: str
    frames: list[Frame]
    is_cause: bool = False


def stacks_of(error: BaseException) -> list[Stack]:
    """The exception, and then what it came from, each with the participant's own frames."""
    found: list[Stack] = []
    is_cause, current = False, error
    while len(found) < _LONGEST_CHAIN:
        frames = [Frame(frame.filename, frame.lineno or 0, frame.name) for frame in own_stack(current)]
        found.append(Stack(type(current).__name__, _text(current), frames, is_cause))
        is_cause = current.__cause__ is not None
        further = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
        if further is None:
            break
        current = further
    return found


def returned_at(frame: FrameType, kind: str) -> Stack:
    """Where a function returned, as if it had failed there."""
    return Stack(kind, "", [Frame(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)])


def _text(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return "".join(traceback.format_exception_only(error)).strip()
    name = type(error).__name__
    return describe_exception(error).removeprefix(name).removeprefix(": ")


def text_of(stacks: list[Stack], root: Path) -> str | None:
    """The first exception's traceback, its files named from the root; None without frames."""
    if not stacks or not stacks[0].frames:
        return None
    read = [traceback.FrameSummary(frame.file, frame.line, frame.name) for frame in stacks[0].frames]
    shown = [traceback.FrameSummary(relative(root, f.filename), f.lineno, f.name, line=f.line) for f in read]
    lines = ["Traceback (most recent call last):\n", *traceback.StackSummary.from_list(shown).format()]
    return "".join(lines) + f"{stacks[0].kind}: {stacks[0].text}".removesuffix(": ")


def relative(root: Path, file: str) -> str:
    """The file, named from the root if it lies there."""
    path = Path(file)
    return str(path.relative_to(root)) if path.is_relative_to(root) else file


def dumped(text: str) -> list[Frame]:
    """The participant's frames in what faulthandler wrote when the process ended, outermost first."""
    for thread in text.split("most recent call first"):
        frames = [Frame(file, int(line), name) for file, line, name in _DUMPED.findall(thread)]
        own = [frame for frame in frames if not is_foreign(frame.file)]
        if own:
            return own[::-1]
    return []


def is_foreign(file: str) -> bool:
    """Whether code is none of the participant's: crunch_game's, the import machinery's, or from no file."""
    return faults.is_foreign(file) or file.startswith("<") or file == "???"
