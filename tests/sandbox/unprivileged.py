"""`python unprivileged.py PROGRAM ARGUMENT...`: run a Python program as nobody, from root.

The interpreter or the libraries may lie in a folder that nobody may enter, such as root's home. Then the program gets a
view of the file system of its own, in which there is nothing in that folder but these.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from crunch_game.sandbox._syscalls import call

NOBODY = 65534
_NEWNS, _BIND, _REC, _PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000


def _text(value: object) -> ctypes.Array:
    return ctypes.create_string_buffer(os.fsencode(str(value)))


def closed(path: Path) -> Path | None:
    """The outermost folder above the path that nobody may enter."""
    return next((each for each in reversed(path.parents) if not each.stat().st_mode & 0o001), None)


def needed(program: str) -> set[Path]:
    executable = Path(sys.executable)
    roots = {Path(sys.prefix), Path(sys.base_prefix), executable.parent, executable.resolve().parent.parent}
    places = [*sys.path, str(Path(program).parent)]
    return roots | {Path(place).resolve() for place in places if place and Path(place).exists()}


def open_up(program: str) -> None:
    """Let nobody reach what the program needs.

    Raises:
        OSError: This process may not change its view of the file system.
    """
    behind: dict[Path, set[Path]] = {}
    for path in needed(program):
        door = closed(path)
        if door is not None:
            behind.setdefault(door, set()).add(path)
    if not behind:
        return
    call("unshare", _NEWNS)
    call("mount", _text("none"), _text("/"), None, _REC | _PRIVATE, None)
    for door, paths in behind.items():
        real = os.open(door, os.O_PATH | os.O_DIRECTORY)
        call("mount", _text("none"), _text(door), _text("tmpfs"), 0, _text("mode=0755"))
        for path in sorted(paths):
            if not path.exists():  # beneath one that is there by now
                path.mkdir(parents=True)
                source = f"/proc/self/fd/{real}/{path.relative_to(door)}"
                call("mount", _text(source), _text(path), None, _BIND | _REC, None)
        os.close(real)


def main() -> None:
    program = sys.argv[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path[1:] if entry)}
    open_up(program)
    os.chdir("/")
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    os.execve(sys.executable, [sys.executable, *sys.argv[1:]], environment)


if __name__ == "__main__":
    main()
