"""Where a participant's code failed: its traceback with the lines around, and a debugger that stands there."""

from __future__ import annotations

import linecache
import pdb
import re
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final

from rich.console import Console
from rich.traceback import Frame, Stack, Trace, Traceback

from crunch_game import faults as faults

_FRAME: Final = re.compile(r'  File "(.*)", line (\d+), in (.*)')
_CAUSE: Final = "The above exception was the direct cause of the following exception:"
_LINKS: Final = re.compile(rf"\n({_CAUSE}|During handling of the above exception, another exception occurred:)\n\n")


def relative(traceback: str, root: Path) -> str:
    """A fault's traceback with its files named from the root, if they lie there."""
    return traceback.replace(f'File "{root}/', 'File "')


def show(traceback: str, root: Path, console: Console) -> None:
    """Print a fault's traceback with the lines around those that it names."""
    linecache.checkcache()
    with chdir(root):
        stacks = list(_stacks(relative(traceback, root)))
        console.print(Traceback(Trace(stacks), max_frames=20, word_wrap=True, extra_lines=2))


def _stacks(traceback: str) -> Iterator[Stack]:
    """The exceptions of a traceback, as rich has them: the last first, the others with whether they caused the next."""
    parts = _LINKS.split(traceback)
    for block, link in zip(parts[::-2], [None, *parts[-2::-2]], strict=True):
        frames = [Frame(file, int(line), name) for file, line, name in _FRAME.findall(block)]
        # After the frames and their source, which are indented, comes what was raised.
        said = re.sub(r"\A(?:Traceback .*\n)?(?: .*\n?)*", "", block).strip() or "it was here"
        kind, _, text = said.partition(": ")
        yield Stack(exc_type=kind, exc_value=text, is_cause=link == _CAUSE, frames=frames)


def stop_at(traceback: TracebackType, own: Path) -> None:
    """Talk with the user at the traceback's deepest frame in the file or folder `own`; those below can be reached."""
    debugger = _Debugger(own)
    debugger.reset()
    debugger.interaction(None, traceback)


def _is_foreign(file: str) -> bool:
    """Whether code is none of the participant's: crunch_game's, the import machinery's, or from no file."""
    return faults.is_foreign(file) or file.startswith("<") or file == "???"


class _Debugger(pdb.Pdb):
    def __init__(self, own: Path) -> None:
        super().__init__()
        self._own = own

    def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
        """The frames, and the one to stand in."""
        stack, _ = super().get_stack(f, t)
        stack = [entry for entry in stack if not _is_foreign(entry[0].f_code.co_filename)] or stack
        files = [Path(frame.f_code.co_filename) for frame, _ in stack]
        own = [index for index, file in enumerate(files) if file.is_relative_to(self._own)]
        return stack, own[-1] if own else len(stack) - 1
