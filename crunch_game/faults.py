"""An exception of a participant's code as a Fault: its own frames only, and never a second exception."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType

from crunch_game.outcomes import Fault

__all__ = ["fault_of", "own_frames", "own_stack", "said"]

_OURS = str(Path(__file__).parent)
_LONGEST = 8_000


def fault_of(error: BaseException, message: str | None = None) -> Fault:
    """The fault that tells of an exception.

    Args:
        error: What the participant's code raised.
        message: The sentence for people; the exception's type and text unless given.
    """
    return Fault(type(error).__name__, message or said(error), own_frames(error))


def said(error: BaseException) -> str:
    """The exception's type and text, even when asking for the text raises."""
    try:
        text = str(error)
    except BaseException as second:  # noqa: BLE001 - a participant's __str__ may raise anything
        text = f"(its __str__ raised {type(second).__name__})"
    name = type(error).__name__
    return f"{name}: {_short(text)}" if text else name


def own_frames(error: BaseException) -> str | None:
    """The traceback as text, without the frames of crunch_game and of the import machinery; None if none is left."""
    frames = own_stack(error)
    if isinstance(error, SyntaxError) and error.filename and not frames:
        return "".join(traceback.format_exception_only(error))
    if not frames:
        return None
    lines = ["Traceback (most recent call last):\n", *traceback.StackSummary.from_list(frames).format(), said(error)]
    return _short("".join(lines))


def own_stack(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of the exception's traceback that are neither crunch_game's nor the import machinery's."""
    return [frame for frame in traceback.extract_tb(_skipped(error.__traceback__)) if not _foreign(frame)]


def _skipped(tb: TracebackType | None) -> TracebackType | None:
    while tb is not None and tb.tb_frame.f_code.co_filename.startswith(_OURS):
        tb = tb.tb_next
    return tb


def _foreign(frame: traceback.FrameSummary) -> bool:
    return frame.filename.startswith((_OURS, "<frozen importlib"))


def _short(text: str) -> str:
    """The text without its middle where it is long, and without the lone surrogates that no wire carries."""
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}\n[...]\n{text[-_LONGEST // 2 :]}"
