"""A debugger that stands in the participant's own code, and shows no frames of ours."""

from __future__ import annotations

import pdb
from pathlib import Path
from types import FrameType, TracebackType

from crunch_game.capsules.stacks import is_foreign

__all__ = ["stop_at"]


def stop_at(traceback: TracebackType, own: Path) -> None:
    """Talk with the user at the traceback's deepest frame in the file or folder `own`; those below can be reached."""
    debugger = _Debugger(own)
    debugger.reset()
    debugger.interaction(None, traceback)


class _Debugger(pdb.Pdb):
    def __init__(self, own: Path) -> None:
        super().__init__()
        self._own = own

    def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
        """The frames, and the one to stand in."""
        stack, _ = super().get_stack(f, t)
        stack = [entry for entry in stack if not is_foreign(entry[0].f_code.co_filename)] or stack
        files = [Path(frame.f_code.co_filename) for frame, _ in stack]
        own = [index for index, file in enumerate(files) if file.is_relative_to(self._own)]
        return stack, own[-1] if own else len(stack) - 1
