"""Explains an exception that a model raised because the sandbox refused it something."""

from __future__ import annotations

import ast
import errno
import linecache
import os
import socket
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from crunch_game._quantities import mebibytes
from crunch_game.sandbox._readable import is_beneath, real, unread_entries
from crunch_game.sandbox._sandbox import Enclosure, Sandbox, enclosure

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
_NO_THREAD: Final = "can't start new thread"  # its stack takes memory
_OWNERS: Final = "the sandbox keeps the owners of files as they are"
_PRIORITY: Final = "the sandbox gives every model the same priority"
_SHARED: Final = (
    "the sandbox gives models no memory that others could see; a game that needs it says Sandbox(write=['/dev/shm'])"
)

# seccomp's refusals say nothing but EPERM, so the function that was called has to tell what was refused.
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
# The same for functions of the standard library, by file and name.
_BY_PLACE: Final = {
    ("socket.py", "__init__"): _NETWORK,
    ("socket.py", "create_server"): _SERVING,
    ("subprocess.py", "_execute_child"): _PROCESSES,
    ("util.py", "spawnv_passfds"): _PROCESSES,
}
# What getaddrinfo answers when it cannot open a socket.
_UNRESOLVED: Final = (socket.EAI_AGAIN, socket.EAI_NONAME, socket.EAI_FAIL, socket.EAI_SYSTEM)


def barrier_of(error: BaseException) -> str | None:
    """Say in a sentence for the participant which barrier raised this exception; None unless that is certain.

    Works only in the model's process, where the exception was raised.
    """
    inside = enclosure()
    if inside is None:
        return None
    try:
        return next((sentence for each in _with_causes(error) if (sentence := _explain(each, inside))), None)
    except Exception:  # noqa: BLE001 - attributes of a participant's own exception may raise anything
        return None


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and those that led to it. Libraries wrap what they catch, as urllib does in `reason`."""
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        each = pending.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            hidden = None if each.__suppress_context__ else each.__context__
            pending += [each.__cause__, hidden, getattr(each, "reason", None), *each.args]


def _explain(error: BaseException, inside: Enclosure) -> str | None:
    sandbox = inside.sandbox
    starved = isinstance(error, MemoryError) or (type(error) is RuntimeError and _NO_THREAD in error.args)
    if starved and sandbox.memory is not None:
        return f"the sandbox lets a model use {mebibytes(sandbox.memory)} of memory (Sandbox(memory=...))"
    if isinstance(error, ModuleNotFoundError) and inside.locked:
        return _unread_module(error.name)
    if not isinstance(error, OSError):
        return None
    if isinstance(error, socket.gaierror):
        return _NETWORK if inside.filtered and not sandbox.network and error.errno in _UNRESOLVED else None
    if error.errno == errno.EFBIG:
        return f"the sandbox lets a file have {mebibytes(sandbox.file_size)} (Sandbox(file_size=...))"
    if error.errno == errno.EMFILE:
        return f"the sandbox lets a model have {sandbox.descriptors} open files (Sandbox(descriptors=...))"
    last = next(reversed(traceback.extract_tb(error.__traceback__)), None)
    if error.errno in (errno.EACCES, errno.EXDEV) and inside.locked and isinstance(error.filename, str | bytes):
        return _SHARED if last and _called(last) == "shm_open" else _explain_path(error, inside, last)
    return _refused_call(last, sandbox) if last and error.errno == errno.EPERM and inside.filtered else None


def _explain_path(error: OSError, inside: Enclosure, last: traceback.FrameSummary | None) -> str | None:
    """Explain a refusal by Landlock: one of a path that the file's own permissions would have allowed."""
    paths = [os.fsdecode(name) for name in (error.filename, error.filename2) if name is not None]
    outside = [path for path in paths if not _is_among(path, inside.writable)]
    if not outside:
        return None
    path = outside[-1]  # of a link's two paths the second is where it would be made
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
    if last and last.filename.startswith("<frozen importlib"):
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
    except OSError:  # some links in /proc cannot be followed
        return str(Path(path).absolute())


def _may_write(path: str) -> bool:
    """Whether the file's permissions allow writing or, if it does not exist, those of its folder do."""
    place = path if os.access(path, os.F_OK) else Path(path).parent
    return os.access(place, os.W_OK)


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


def _refused_call(last: traceback.FrameSummary, sandbox: Sandbox) -> str | None:
    """Explain a refusal by seccomp, by what the innermost frame was calling."""
    file = Path(last.filename)
    library = file.is_relative_to(Path(os.__file__).parent)
    sentence = (_BY_PLACE.get((file.name, last.name)) if library else None) or _BY_CALL.get(_called(last) or "")
    if sentence == _NETWORK and sandbox.network:
        return _OTHER_NETWORKS
    if (sentence in (_PROCESSES, _GROUP) and sandbox.processes) or (sentence == _UNCOUNTED and sandbox.memory is None):
        return None
    return sentence


def _called(frame: traceback.FrameSummary) -> str | None:
    """Return the name of the function that a frame was calling: "fork" for `os.fork()`."""
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
