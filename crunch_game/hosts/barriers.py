"""An exception that a model raised, and the barrier of the sandbox that it ran into."""

from __future__ import annotations

import ast
import errno
import linecache
import os
import socket
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crunch_game.hosts.surroundings import is_beneath, real, unread_entries

if TYPE_CHECKING:
    from crunch_game.hosts.sandbox import Sandbox

__all__ = ["Enclosure", "barrier_of", "enclose", "size"]


@dataclass(frozen=True, slots=True)
class Enclosure:
    """The sandbox that this process is in, as far as the machine has it.

    Attributes:
        sandbox: What was asked for.
        readable: The paths that Landlock lets it read.
        writable: Those that it may change too.
        locked: Landlock holds.
        filtered: seccomp holds.
    """

    sandbox: Sandbox
    readable: tuple[str, ...]
    writable: tuple[str, ...]
    locked: bool
    filtered: bool


_inside: Enclosure | None = None

_NETWORK: Final = "the sandbox allows no network; a game that needs it says Sandbox(network=True)"
_OTHER_NETWORKS: Final = "the sandbox allows TCP and UDP, and no other sockets"
_SERVING: Final = "the sandbox allows connections to others, and none from them"
_PROCESSES: Final = (
    "the sandbox allows no processes and no programs; a game that needs them says Sandbox(processes=True)"
)
_GROUP: Final = (
    "the sandbox keeps a model in its group and session; a game whose models need their own says "
    "Sandbox(processes=True)"
)
_SIGNALS: Final = "the sandbox lets a model signal only itself, and what it has started"
_OTHERS: Final = "the sandbox keeps a model away from other processes"
_SYSTEM: Final = "the sandbox gives a model no say in the system, whoever runs it"
_UNCOUNTED: Final = "the sandbox limits memory, and refuses the kinds that no limit counts"
_NO_THREAD: Final = "can't start new thread"  # each takes memory for its stack
_OWNERS: Final = "the sandbox keeps the owners of files as they are"
_PRIORITY: Final = "the sandbox gives every model the same priority"
_SHARED: Final = (
    "the sandbox gives models no memory that others could see; a game that needs it says Sandbox(write=['/dev/shm'])"
)

# What was called where an error without a file name came from.
_BY_CALL: Final = {
    **dict.fromkeys(("socket", "socketpair", "create_connection", "connect", "connect_ex"), _NETWORK),
    **dict.fromkeys(("bind", "listen", "accept", "create_server"), _SERVING),
    **dict.fromkeys(
        ("fork", "forkpty", "fork_exec", "_fork_exec", "posix_spawn", "posix_spawnp", "execv", "execve", "Popen"),
        _PROCESSES,
    ),
    **dict.fromkeys(("setpgid", "setpgrp", "setsid"), _GROUP),
    **dict.fromkeys(("kill", "killpg", "pidfd_open", "pidfd_send_signal"), _SIGNALS),
    **dict.fromkeys(("prlimit", "setpriority", "sched_setaffinity", "sched_setscheduler", "sched_setparam"), _OTHERS),
    **dict.fromkeys(("chroot", "unshare", "setns", "sethostname", "clock_settime"), _SYSTEM),
    **dict.fromkeys(("mmap", "memfd_create"), _UNCOUNTED),
    **dict.fromkeys(("chown", "fchown", "lchown"), _OWNERS),
    "nice": _PRIORITY,
}
# Functions of the standard library that call what is refused.
_BY_PLACE: Final = {
    ("socket.py", "__init__"): _NETWORK,
    ("socket.py", "create_server"): _SERVING,
    ("subprocess.py", "_execute_child"): _PROCESSES,
    ("util.py", "spawnv_passfds"): _PROCESSES,
}
# What getaddrinfo says when it may open no socket.
_UNRESOLVED: Final = (socket.EAI_AGAIN, socket.EAI_NONAME, socket.EAI_FAIL, socket.EAI_SYSTEM)


def enclose(enclosure: Enclosure) -> None:
    """Remember what this process is in."""
    global _inside
    _inside = enclosure


def barrier_of(error: BaseException) -> str | None:
    """The barrier that an exception came from, as a sentence for the participant; None where none is known for sure.

    To be called in the process of the model, where the exception was raised.
    """
    if _inside is None:
        return None
    try:
        return next((said for each in _with_causes(error) if (said := _sentence(each, _inside))), None)
    except Exception:  # noqa: BLE001 - an exception of a participant's own may raise whenever it is looked at
        return None


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, and those that led to it: a library wraps what it met, some more than once."""
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        each = pending.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            hidden = None if each.__suppress_context__ else each.__context__
            pending += [each.__cause__, hidden, getattr(each, "reason", None), *each.args]


def _sentence(error: BaseException, inside: Enclosure) -> str | None:
    sandbox = inside.sandbox
    starved = isinstance(error, MemoryError) or (type(error) is RuntimeError and _NO_THREAD in error.args)
    if starved and sandbox.memory is not None:
        return f"the sandbox lets a model use {size(sandbox.memory)} of memory (Sandbox(memory=...))"
    if isinstance(error, ModuleNotFoundError) and inside.locked:
        return _unread_module(error.name)
    if not isinstance(error, OSError):
        return None
    if isinstance(error, socket.gaierror):
        return _NETWORK if inside.filtered and not sandbox.network and error.errno in _UNRESOLVED else None
    if error.errno == errno.EFBIG:
        return f"the sandbox lets a file have {size(sandbox.file_size)} (Sandbox(file_size=...))"
    if error.errno == errno.EMFILE:
        return f"the sandbox lets a model have {sandbox.descriptors} open files (Sandbox(descriptors=...))"
    if error.errno in (errno.EACCES, errno.EXDEV) and inside.locked and isinstance(error.filename, str | bytes):
        return _SHARED if _calls(error) == "shm_open" else _path(error, inside)
    return _refused_call(error, sandbox) if error.errno == errno.EPERM and inside.filtered else None


def _path(error: OSError, inside: Enclosure) -> str | None:
    """Landlock's refusals: of what the files' own permissions would have allowed."""
    paths = [os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None]
    outside = [path for path in paths if not _is_among(path, inside.writable)]
    if not outside:
        return None
    path = outside[-1]  # a link is to blame for where it would lie, not for where it leads
    if error.errno == errno.EXDEV:
        one_disk = len({Path(each).parent.stat().st_dev for each in paths}) == 1
        return (
            f"the sandbox lets a model move and link files only in its temporary folder: {path}" if one_disk else None
        )
    process = Path(path).parts[1:3]
    if process[0:1] == ("proc",) and process[1:2] not in ((), ("self",), (str(os.getpid()),)):
        return _OTHERS
    if _is_among(path, inside.readable):
        return f"the sandbox lets a model write only in its temporary folder: {path}" if _may_write(path) else None
    if _from_import(error):
        file = Path(path)
        return _unread_module(file.parent.name if file.stem == "__init__" else file.stem)
    if os.access(path, os.R_OK) or _may_write(path):
        return f"the sandbox lets a model read only its own folder, and write only in its temporary one: {path}"
    return None


def _is_among(path: str, roots: Iterable[str]) -> bool:
    return is_beneath(_real(path), map(_real, roots))


def _real(path: str) -> str:
    try:
        return real(path)
    except OSError:  # links in /proc may not be followed
        return str(Path(path).absolute())


def _may_write(path: str) -> bool:
    """Whether the permissions of the file, or of the folder that it would be made in, let it be written."""
    place = path if os.access(path, os.F_OK) else Path(path).parent
    return os.access(place, os.W_OK)


def _from_import(error: OSError) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.startswith("<frozen importlib")


def _unread_module(name: str | None) -> str | None:
    top = (name or "").partition(".")[0]
    for entry in unread_entries() if top else ():
        for place in (Path(entry, f"{top}.py"), Path(entry, top)):
            if os.access(place, os.F_OK):
                return (
                    f"the sandbox lets a model import from {entry} only what the game has imported already, "
                    f"and {top} is not; the game's author adds it with ProcessHost(preload=[{top!r}])"
                )
    return None


def _calls(error: OSError) -> str | None:
    frames = traceback.extract_tb(error.__traceback__)
    return _called(frames[-1]) if frames else None


def _refused_call(error: OSError, sandbox: Sandbox) -> str | None:
    """seccomp's refusals say nothing of the call; the frame that they came from does."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return None
    file, last = Path(frames[-1].filename), frames[-1]
    library = file.is_relative_to(Path(os.__file__).parent)
    said = (_BY_PLACE.get((file.name, last.name)) if library else None) or _BY_CALL.get(_called(last) or "")
    if said == _NETWORK and sandbox.network:
        return _OTHER_NETWORKS
    if (said in (_PROCESSES, _GROUP) and sandbox.processes) or (said == _UNCOUNTED and sandbox.memory is None):
        return None
    return said


def _called(frame: traceback.FrameSummary) -> str | None:
    """The name of the function that a frame was calling: `fork` of `os.fork()`."""
    first, last, begin, end = frame.lineno, frame.end_lineno, frame.colno, frame.end_colno
    if first is None or last is None or begin is None or end is None:
        return None
    lines = [linecache.getline(frame.filename, number) for number in range(first, last + 1)]
    lines[-1] = lines[-1][:end]
    try:
        expression = ast.parse("".join(lines)[begin:], mode="eval").body
    except (SyntaxError, ValueError):
        return None
    function = expression.func if isinstance(expression, ast.Call) else None
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)


def size(count: int) -> str:
    """Bytes, for people."""
    return f"{count / (1 << 20):g} MiB"
