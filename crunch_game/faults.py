"""Describes exceptions of participants' code. Looking at such an exception may itself raise; nothing here does."""

from __future__ import annotations

import os
import re
import traceback
from collections import deque
from contextlib import suppress
from pathlib import Path
from textwrap import indent
from types import TracebackType
from typing import Any, Final

from crunch_game.outcomes import Fault

__all__ = ["describe_exception", "fault_of", "is_foreign", "own_frames", "printable", "shortened"]

_OURS: Final = f"{Path(__file__).parent}{os.sep}"
_EXAMPLES: Final = f"{_OURS}examples{os.sep}"
_MAX_CHARACTERS: Final = 8_000
_MAX_FRAMES: Final = 15
"""Frames that are shown of each end of a traceback."""
_MAX_CAUSES: Final = 5
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""With those that change the direction of what follows: at a terminal a model's text would turn ours around."""
_PICKLED: Final = re.compile(r"^Can't get attribute '([\w.]{1,100})' on <module '__main__'")
_PICKLED_CURE: Final = (
    "; it was pickled by a script that defined {0} itself: import {0} in main.py, or define it in a module of its own, "
    "which the script imports too, and pickle again"
)
_BECAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_MEANWHILE: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"


def fault_of(error: BaseException, message: str | None = None) -> Fault:
    """Return the fault for an exception.

    Args:
        error: What the participant's code raised.
        message: A sentence for people; by default the exception's type and text.
    """
    return Fault(_name(error), message or describe_exception(error), own_frames(error))


def describe_exception(error: BaseException) -> str:
    """Return the exception's type and text, even if its `__str__` raises."""
    try:
        text = "".join((str(error),))  # join makes a plain str, of which no method is the participant's
    except BaseException as second:  # noqa: BLE001 - a participant's __str__ may raise anything
        text = f"(its __str__ raised {_name(second)})"
    pickled = _PICKLED.search(text)
    cure = _PICKLED_CURE.format(pickled[1]) if pickled else ""
    return f"{_name(error)}: {shortened(text)}{cure}" if text else _name(error)


def own_frames(error: BaseException) -> str | None:
    """Return the tracebacks of the exception and its causes, the first cause first.

    The frames of crunch_game and of imports are left out; None if no other is left.
    """
    parts: list[str] = []
    any_frames = False
    try:
        for link, each in _chain(error):
            frames, block = _block(each)
            if link == _MEANWHILE and not frames:
                continue  # raised by our own code
            any_frames |= frames
            parts += [block, link]
    except BaseException:  # noqa: BLE001 - attributes of a participant's exception may raise anything
        return None
    return shortened("".join(parts).rstrip("\n")) if any_frames else None


def is_foreign(file: str) -> bool:
    """Whether frames of this file are not the participant's, but ours or those of imports."""
    # The models of the demo game are part of this package, but count as participants'.
    return file.startswith((_OURS, "<frozen importlib")) and not file.startswith(_EXAMPLES)


def printable(text: str) -> str:
    """Escape control characters, and lone surrogates, which cannot be encoded."""
    text = _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text.replace("\r\n", "\n"))
    return text.encode(errors="backslashreplace").decode()


def _chain(error: BaseException) -> list[tuple[str, BaseException]]:
    """Return the causes of the exception, the first one first, and itself; each with the line that follows its text."""
    chain: list[tuple[str, BaseException]] = []
    link, seen = "", set[int]()
    following: Any = error
    while isinstance(following, BaseException) and id(following) not in seen and len(chain) <= _MAX_CAUSES:
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
    """Format one exception without its causes, but with the members of a group; return whether it has frames."""
    frames = _format_frames(_field(error, "__traceback__"))
    kind = type(error)  # isinstance would use __class__, which a participant may have overridden
    syntax = issubclass(kind, SyntaxError) and getattr(error, "filename", None) is not None
    text = "".join(["Traceback (most recent call last):\n", *frames] if frames else [])
    text += "".join(traceback.format_exception_only(error)) if syntax else f"{describe_exception(error)}\n"
    with suppress(BaseException):  # notes may be anything
        text += "".join(f"{shortened(str(note))}\n" for note in getattr(error, "__notes__", ()))
    found = bool(frames) or syntax
    if issubclass(kind, BaseExceptionGroup) and depth < _MAX_CAUSES:
        members = BaseExceptionGroup.__dict__["exceptions"].__get__(error)
        for number, member in enumerate(members[:_MAX_CAUSES], 1):
            inner, block = _block(member, depth + 1)
            found |= inner
            text += f"  {number} of {len(members)}:\n{indent(block, '    ')}"
    return found, text


def _format_frames(tb: TracebackType | None) -> list[str]:
    """Format the participant's frames; of very many, those in the middle are only counted."""
    head: list[TracebackType] = []
    tail: deque[TracebackType] = deque(maxlen=_MAX_FRAMES)
    count = 0
    while tb is not None:
        if not is_foreign(tb.tb_frame.f_code.co_filename):
            count += 1
            (head if count <= _MAX_FRAMES else tail).append(tb)
        tb = tb.tb_next
    between = count - len(head) - len(tail)
    gap = [f"  [{between} frames more]\n"] if between else []
    return [*traceback.format_tb(_linked(head)), *gap, *traceback.format_tb(_linked(tail))]


def _linked(entries: list[TracebackType] | deque[TracebackType]) -> TracebackType | None:
    """Chain these entries to a traceback."""
    following: TracebackType | None = None
    for entry in reversed(entries):
        following = TracebackType(following, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return following


def _field(error: BaseException, name: str) -> Any:
    """Return an attribute as the interpreter has set it: the participant's class may override the name."""
    return BaseException.__dict__[name].__get__(error)


def _name(error: BaseException) -> str:
    name: str = type.__dict__["__name__"].__get__(type(error))  # a metaclass may override it
    return name


def shortened(text: str) -> str:
    """Cut out the middle of a long text, and make it printable."""
    if len(text) > _MAX_CHARACTERS:
        text = f"{text[: _MAX_CHARACTERS // 2]}\n[...]\n{text[-_MAX_CHARACTERS // 2 :]}"
    return printable(text)
