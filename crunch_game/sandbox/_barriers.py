"""Explains an exception that a model raised because the sandbox refused it something."""

from __future__ import annotations

import ast
import errno
import linecache
import os
import re
import socket
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from types import FrameType
from typing import Final

from crunch_game._quantities import mebibytes
from crunch_game.errors import CrunchGameError
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
_COMPILES: Final = (
    "torch.compile starts compilers, and the sandbox allows no processes and no programs; leave it out, or say "
    "torch.compile(..., backend='eager'); a game whose models need it says Sandbox(processes=True)"
)
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
# Libraries in C and Rust raise errors of their own, which have nothing but a text.
_DENIED: Final = re.compile(
    r"permission denied|operation not permitted|\berr(?:or|no)(?: number)?:? 13\b", re.IGNORECASE
)
_UNOPENED: Final = re.compile(
    r"(?:could not|can ?not|can't|unable to|failed to|not available)\b.{0,40}?\b(?:open|read|load|writ|creat|sav)",
    re.IGNORECASE | re.DOTALL,
)
_WRITING: Final = re.compile(r"\b(?:writ|creat|sav|unable to open database file)", re.IGNORECASE)
_UNREACHED: Final = re.compile(
    r"\b(?:could not|can ?not|can't|unable to|failed to|error)\b.{0,40}?\b(?:download|connect|resolv|fetch).*\bhttps?://",
    re.IGNORECASE | re.DOTALL,
)
_PATH: Final = re.compile(r"""(?<![\w/:.])(?:[\"'<]([./~]?/[^\"'>\n]+)[\"'>]|(/[^\s\"':;,()<>\[\]]+))""")
_LONGEST_TEXT: Final = 10_000
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
    except BaseException:  # noqa: BLE001 - attributes and text of a participant's own exception may raise anything
        return None


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and those that led to it.

    Libraries wrap what they catch: urllib has it in `reason`, SQLAlchemy in `orig`, torch in `inner_exception`.
    """
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        each = pending.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            hidden = None if each.__suppress_context__ else each.__context__
            pending += [each.__cause__, hidden, *getattr(each, "__dict__", {}).values(), *each.args]


def _explain(error: BaseException, inside: Enclosure) -> str | None:
    sandbox = inside.sandbox
    starved = isinstance(error, MemoryError) or (type(error) is RuntimeError and _NO_THREAD in error.args)
    if starved and sandbox.memory is not None:
        return f"the sandbox lets a model use {mebibytes(sandbox.memory)} of memory (Sandbox(memory=...))"
    if isinstance(error, CrunchGameError):
        return None  # our own sentence, which says what to do
    if isinstance(error, ModuleNotFoundError) and inside.locked:
        return _unread_module(error.name)
    if isinstance(error, socket.gaierror):
        return _NETWORK if inside.filtered and not sandbox.network and error.errno in _UNRESOLVED else None
    if not isinstance(error, OSError) or error.errno is None:
        return _explain_text(error, inside)
    if error.errno == errno.EFBIG:
        return f"the sandbox lets a file have {mebibytes(sandbox.file_size)} (Sandbox(file_size=...))"
    if error.errno == errno.EMFILE:
        return f"the sandbox lets a model have {sandbox.descriptors} open files (Sandbox(descriptors=...))"
    last = next(reversed(traceback.extract_tb(error.__traceback__)), None)
    if error.errno in (errno.EACCES, errno.EXDEV) and inside.locked:
        if last and _called(last) in ("shm_open", "SemLock"):
            return _SHARED
        paths = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
        return _explain_path(error.errno, paths, inside, last) if paths else None
    if error.errno == errno.EPERM and inside.filtered and last:
        compiles = not sandbox.processes and _passed_through(error, "torch", "_inductor")
        sentence = _refused_call(last, sandbox)
        return _COMPILES if compiles and sentence == _PROCESSES else sentence
    return None


def _explain_text(error: BaseException, inside: Enclosure) -> str | None:
    """Explain an error that has no number: only its text tells that something was refused, and perhaps what."""
    text = str(error)[:_LONGEST_TEXT]
    if inside.filtered and not inside.sandbox.processes and _passed_through(error, "loky", "backend", "synchronize.py"):
        return _PROCESSES  # it takes multiprocessing's locks for those of processes
    if inside.filtered and not inside.sandbox.network and _UNREACHED.search(text):
        return _NETWORK
    denied = _DENIED.search(text) is not None
    if not inside.locked or not (denied or _UNOPENED.search(text)):
        return None
    if denied and "shared memory" in text and not _is_among("/dev/shm", inside.writable):
        return _SHARED
    path = next((quoted or plain for quoted, plain in _PATH.findall(text) if not _is_code(quoted or plain)), None)
    path = path or _path_in_play(error)
    if path is None or not (denied or _WRITING.search(text) or os.access(path, os.F_OK)):
        return None  # it may not exist
    return _explain_path(errno.EACCES, [path], inside, None)


def _explain_path(number: int, paths: list[str], inside: Enclosure, last: traceback.FrameSummary | None) -> str | None:
    """Explain a refusal by Landlock: one of a path that the file's own permissions would have allowed."""
    outside = [path for path in paths if not _is_among(path, inside.writable)]
    if not outside:
        return None
    path = outside[-1]  # of a link's two paths the second is where it would be made
    place = _writable_place(inside)
    if number == errno.EXDEV:
        one_disk = len({Path(each).parent.stat().st_dev for each in paths}) == 1
        return f"the sandbox lets a model move and link files only in {place}; this is {path}" if one_disk else None
    process = Path(path).parts[1:3]
    if process[0:1] == ("proc",) and process[1:2] not in ((), ("self",), (str(os.getpid()),)):
        return _OTHERS
    if _is_among(path, inside.readable):
        return f"the sandbox lets a model write only in {place}; this is {path}" if _may_write(path) else None
    if last and last.filename.startswith("<frozen importlib"):
        file = Path(path)
        if sentence := _unread_module(file.parent.name if file.stem == "__init__" else file.stem):
            return sentence
    if os.access(path, os.R_OK) or _may_write(path):
        return f"the sandbox lets a model read only its submission, and write only in {place}; this is {_led(path)}"
    return None


def _led(path: str) -> str:
    """The path, and where it leads, if that is elsewhere: a link in a submission leads nowhere but into it."""
    target = _real(path)
    is_link = target != os.path.abspath(path) and not target.startswith("/proc/")  # noqa: PTH100 - links are followed
    return f"{path}, which leads to {target}" if is_link else path


def _writable_place(inside: Enclosure) -> str:
    """Where this model may write, as a sentence has it: its working folder, or else its temporary one."""
    try:
        own = Path.cwd().as_posix()
    except OSError:  # it has removed it
        own = ""
    if own and _is_among(own, inside.writable):
        return f"{own}, where relative paths lead"
    places = (os.environ.get("TMPDIR", ""), *reversed(inside.writable))
    return next(place for place in places if place and _is_among(place, inside.writable))


def _passed_through(error: BaseException, *parts: str) -> bool:
    """Whether the error came through a file, or a folder of files, whose path has these parts in a row."""
    wanted = f"/{'/'.join(parts)}"
    return any(f"{wanted}/" in f"{frame.f_code.co_filename}/" for frame, _ in traceback.walk_tb(error.__traceback__))


def _is_code(path: str) -> bool:
    """Whether it is a place in a library's own source, as errors of C++ name it."""
    return Path(path).suffix in (".c", ".cc", ".cpp", ".h", ".hpp", ".py", ".pyx", ".rs")


def _path_in_play(error: BaseException) -> str | None:
    """The path that the innermost call with one was given, for errors that do not name it, such as SQLite's."""
    calls = list(zip(traceback.walk_tb(error.__traceback__), traceback.extract_tb(error.__traceback__), strict=True))
    for (frame, _), summary in reversed(calls):
        call = _call(summary)
        for argument in [*call.args, *(each.value for each in call.keywords)] if call else ():
            for value in (*_values(argument, frame), _composed(argument, frame)):
                if isinstance(value, str | os.PathLike) and "/" in (path := os.fspath(value)) and "://" not in path:
                    return os.fsdecode(path)
    return None


def _values(argument: ast.expr, frame: FrameType) -> tuple[object, ...]:
    """What an argument was, as far as that can be told without running anything."""
    match argument:
        case ast.Constant(value):
            return (value,)
        case ast.Name(name):
            return (frame.f_locals.get(name, frame.f_globals.get(name)),)
        case ast.Attribute(ast.Name(name), attribute):
            held = getattr(frame.f_locals.get(name), "__dict__", {})
            return (held.get(attribute),) if isinstance(held, Mapping) else ()
        case ast.Starred(inner):
            [*found] = _values(inner, frame)
            return tuple(value for each in found if isinstance(each, list | tuple) for value in each)
    return ()


def _composed(argument: ast.expr, frame: FrameType) -> str | None:
    """The path that an expression such as `Path(__file__).parent / "cache.db"` comes to."""
    match argument:
        case ast.BinOp(left, ast.Div(), right):
            return _joined([left, right], frame)
        case ast.BinOp(left, ast.Add(), right):
            return _joined([left, right], frame, "".join)
        case ast.JoinedStr(parts):
            return _joined(
                [part.value if isinstance(part, ast.FormattedValue) else part for part in parts], frame, "".join
            )
        case ast.Attribute(inner, "parent") | ast.Call(ast.Attribute(_, "dirname"), [inner]):
            whole = _composed(inner, frame)
            return whole and os.path.dirname(whole)  # noqa: PTH120 - the text of a path, not the place
        case ast.Call(ast.Attribute(inner, "resolve" | "absolute" | "as_posix" | "expanduser"), []):
            return _composed(inner, frame)
        case ast.Call(ast.Attribute(inner, "joinpath"), parts):
            return _joined([inner, *parts], frame)
        case ast.Call(ast.Name("str" | "Path" | "join" | "fspath" | "abspath"), parts):
            return _joined(parts, frame)
        case ast.Call(ast.Attribute(_, "Path" | "join" | "fspath" | "abspath" | "realpath"), parts):
            return _joined(parts, frame)
    known = [os.fspath(value) for value in _values(argument, frame) if isinstance(value, str | PurePath)]
    return known[0] if known else None


def _joined(
    parts: Sequence[ast.expr],
    frame: FrameType,
    join: Callable[[Sequence[str]], str] = lambda texts: os.path.join(*texts),  # noqa: PTH118 - it stays text
) -> str | None:
    texts = [text for part in parts if (text := _composed(part, frame)) is not None]
    return join(texts) if texts and len(texts) == len(parts) else None


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
    call = _call(frame)
    function = call.func if call else None
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)


def _call(frame: traceback.FrameSummary) -> ast.Call | None:
    """The call that a frame was making, as it is written there."""
    first, last, begin, end = frame.lineno, frame.end_lineno, frame.colno, frame.end_colno
    if first is None or last is None or begin is None or end is None:
        return None
    lines = [linecache.getline(frame.filename, number) for number in range(first, last + 1)]
    lines[-1] = lines[-1][:end]
    try:
        expression = ast.parse("".join(lines)[begin:], mode="eval").body
    except (SyntaxError, ValueError):
        return None
    return expression if isinstance(expression, ast.Call) else None
