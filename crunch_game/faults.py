"""An exception of a participant's code as a Fault: its own frames only, and never a second exception."""

from __future__ import annotations

import os
import re
import traceback
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from types import TracebackType
from typing import Any, Final

from crunch_game.outcomes import Fault

__all__ = ["fault_of", "is_foreign", "own_frames", "own_stack", "printable", "said", "shortened"]

_OURS: Final = f"{Path(__file__).parent}{os.sep}"
_EXAMPLES: Final = f"{_OURS}examples{os.sep}"
_LONGEST: Final = 8_000
_MOST_FRAMES: Final = 15
"""Frames that are shown of each end of a traceback."""
_MOST_CAUSES: Final = 5
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BECAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_MEANWHILE: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"


def fault_of(error: BaseException, message: str | None = None) -> Fault:
    """The fault that tells of an exception.

    Args:
        error: What the participant's code raised.
        message: The sentence for people; the exception's type and text unless given.
    """
    return Fault(_name(error), message or said(error), own_frames(error))


def said(error: BaseException) -> str:
    """The exception's type and text, even when asking for the text raises."""
    try:
        text = "".join((str(error),))  # a subclass of str would come with methods of its own
    except BaseException as second:  # noqa: BLE001 - a participant's __str__ may raise anything
        text = f"(its __str__ raised {_name(second)})"
    return f"{_name(error)}: {shortened(text)}" if text else _name(error)


def own_frames(error: BaseException) -> str | None:
    """The tracebacks of the exception and of what led to it, as text, causes first; None if no frame is left.

    Without the frames of crunch_game and of the import machinery.
    """
    try:
        frames, text = _told(error)
    except BaseException:  # noqa: BLE001 - looking at a participant's exception may raise anything
        return None
    return shortened(text.rstrip("\n")) if frames else None


def own_stack(error: BaseException) -> list[traceback.FrameSummary]:
    """The participant's own frames of the exception's traceback; without those in the middle of very many."""
    head, tail, _ = _ends(_field(error, "__traceback__"))
    return list(traceback.extract_tb(_linked([*head, *tail])))


def is_foreign(file: str) -> bool:
    """Whether a frame of the file is none of the participant's: it is ours, or the import machinery's."""
    # The demo game's models are participants like all others.
    return file.startswith((_OURS, "<frozen importlib")) and not file.startswith(_EXAMPLES)


def printable(text: str) -> str:
    """The text without control characters, and without the lone surrogates that no wire carries: both are escaped."""
    text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))
    return text.encode(errors="backslashreplace").decode()


def _told(error: BaseException) -> tuple[bool, str]:
    """Whether there are frames, and the text."""
    parts: list[str] = []
    any_frames = False
    for link, each in _chain(error):
        frames, block = _block(each)
        if link == _MEANWHILE and not frames:
            continue  # something of ours
        any_frames |= frames
        parts += [block, link]
    return any_frames, "".join(parts)


def _chain(error: BaseException) -> list[tuple[str, BaseException]]:
    """What led to the exception, first things first, each with the words that lead on to the next; itself last."""
    chain: list[tuple[str, BaseException]] = []
    link, seen = "", set[int]()
    following: Any = error
    while isinstance(following, BaseException) and id(following) not in seen and len(chain) <= _MOST_CAUSES:
        chain.append((link, following))
        seen.add(id(following))
        cause = _field(following, "__cause__")
        if cause is not None:
            link, following = _BECAUSE, cause
        else:
            suppressed = _field(following, "__suppress_context__")
            link, following = _MEANWHILE, None if suppressed else _field(following, "__context__")
    return chain[::-1]


def _block(error: BaseException, depth: int = 0) -> tuple[bool, str]:
    """One exception alone, and the members of a group; whether it has frames, and the text."""
    frames = list(_frames(_field(error, "__traceback__")))
    kind = type(error)  # isinstance would ask the exception itself
    syntax = issubclass(kind, SyntaxError) and getattr(error, "filename", None) is not None
    text = "".join(["Traceback (most recent call last):\n", *frames] if frames else [])
    text += "".join(traceback.format_exception_only(error)) if syntax else f"{said(error)}\n"
    text += _notes(error)
    found = bool(frames) or syntax
    if issubclass(kind, BaseExceptionGroup) and depth < _MOST_CAUSES:
        members = BaseExceptionGroup.__dict__["exceptions"].__get__(error)
        for number, member in enumerate(members[:_MOST_CAUSES], 1):
            inner, block = _block(member, depth + 1)
            found |= inner
            text += f"  {number} of {len(members)}:\n{indent(block, '    ')}"
    return found, text


def _notes(error: BaseException) -> str:
    try:
        return "".join(f"{shortened(str(note))}\n" for note in getattr(error, "__notes__", ()))
    except BaseException:  # noqa: BLE001 - they may be anything
        return ""


def _frames(tb: TracebackType | None) -> Iterator[str]:
    """The own frames of a traceback as text; those in the middle of many are only counted."""
    head, tail, between = _ends(tb)
    yield from traceback.format_tb(_linked(head))
    if between:
        yield f"  [{between} frames more]\n"
    yield from traceback.format_tb(_linked(tail))


def _ends(tb: TracebackType | None) -> tuple[list[TracebackType], deque[TracebackType], int]:
    """The first and the last own frames of a traceback, and how many are between them."""
    head: list[TracebackType] = []
    tail: deque[TracebackType] = deque(maxlen=_MOST_FRAMES)
    count = 0
    while tb is not None:
        if not is_foreign(tb.tb_frame.f_code.co_filename):
            count += 1
            (head if count <= _MOST_FRAMES else tail).append(tb)
        tb = tb.tb_next
    return head, tail, count - len(head) - len(tail)


def _linked(entries: list[TracebackType] | deque[TracebackType]) -> TracebackType | None:
    following: TracebackType | None = None
    for entry in reversed(entries):
        following = TracebackType(following, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return following


def _field(error: BaseException, name: str) -> Any:
    """An attribute as the interpreter set it: a class of the participant's may have put another in its place."""
    return BaseException.__dict__[name].__get__(error)


def _name(error: BaseException) -> str:
    name: str = type.__dict__["__name__"].__get__(type(error))  # a metaclass may have a name of its own
    return name


def shortened(text: str) -> str:
    """The text without its middle where it is long, and without what cannot be shown or sent."""
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}\n[...]\n{text[-_LONGEST // 2 :]}"
    return printable(text)
