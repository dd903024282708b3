"""What is meant as a submission in a folder of them, whether or not it is one that can be run."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from crunch_game._public import public
from crunch_game.errors import GameError, LoadError
from crunch_game.rosters._versions import files_of
from crunch_game.sources import entry_of, is_archive, is_code, is_folder

Found = tuple[str, Path, str | None]
"""A submission's model id, its path, and why it cannot be run; None if it can."""


@public
def submissions_in(folder: str | os.PathLike[str]) -> list[Found]:
    """The submissions at a path: the one that it is, or those that lie in it.

    A folder without a main.py or package of its own that holds two or more which can be run is a folder of
    submissions. Where it holds one, it may be meant as a submission or as a folder of them: the reason says what to
    change in the first case, and what to give in the second.

    Args:
        folder: A folder of submissions, or a submission.

    Returns:
        Of each the model id, the path, and why it cannot be run, with what to do; None if it can. Never empty: of what
        is neither, the path itself with the reason.
    """
    path = Path(folder).absolute()
    why_not = reason_against(path)
    if why_not is None or not is_folder(path):
        return [(id_of(path), path, why_not)]
    with suppress(OSError):
        found = chosen((each, reason_against(each)) for each in entries_of(path) if is_meant(each))
        playable = [each.name for _, each, why in found if why is None]
        if len(playable) > 1:
            return found
        if playable:
            why_not += f"; or, if {playable[0]} is the whole submission, give {path.name}/{playable[0]}"
    return [(id_of(path), path, why_not)]


def reason_against(path: Path) -> str | None:
    """Why a path is no submission that can be run, and what to do; None if it is one."""
    try:
        entry_of(path)
    except LoadError as error:
        return str(error)
    return None


def entries_of(folder: Path) -> list[Path]:
    """What is in a folder of submissions, sorted, without the names that nobody gives to one."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if not entry.name.startswith((".", "_")))
    return []


def is_meant(path: Path, files: Iterable[str] | None = None) -> bool:
    """Whether somebody who puts this in a folder of submissions means it as one.

    That is a Python file, a notebook or an archive, a folder that has any of these in it or nothing at all, and a link
    that leads nowhere. Texts, weights and data are not, nor is an environment.

    Args:
        path: A file or a folder.
        files: The paths of the folder's files, if they are known.
    """
    try:
        kind = path.stat().st_mode
    except OSError:
        return path.is_symlink()  # it leads nowhere, or where nobody may look
    if stat.S_ISREG(kind):
        return is_code(path.name) or is_archive(path.name)
    if not stat.S_ISDIR(kind) or os.access(path / "pyvenv.cfg", os.F_OK):
        return False
    inside = [file.path for file in files_of(path)] if files is None else list(files)
    return not inside or any(is_code(name) or is_archive(name) for name in inside)


def id_of(path: Path) -> str:
    """The model id of a submission: its folder's name, or its file's up to what says of which kind it is.

    Of a name that is no UTF-8, which no store takes, the odd bytes are written as `\\xff`.
    """
    name = path.name
    if not is_folder(path):
        name = path.stem
        if path.suffix != ".py":
            name = name.removesuffix(".tar").removesuffix(".py") or path.name
    return os.fsencode(name).decode(errors="backslashreplace")


def chosen(found: Iterable[tuple[Path, str | None]]) -> list[Found]:
    """The submissions with their ids. Of two with the same id, one that can be run goes before one that cannot.

    Raises:
        GameError: Both can be run.
    """
    by_id: dict[str, tuple[Path, str | None]] = {}
    for path, why_not in found:
        model_id = id_of(path)
        before = by_id.get(model_id)
        if before is not None and before[1] is None and why_not is None:
            raise GameError(f"{path} and {before[0]} would both be the model {model_id!r}; rename one")
        if before is None or (before[1] is not None and why_not is None):
            by_id[model_id] = path, why_not
    return [(model_id, path, why_not) for model_id, (path, why_not) in by_id.items()]
