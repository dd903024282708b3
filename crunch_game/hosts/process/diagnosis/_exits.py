"""Exit diagnosis: explains to the participant why a model's process ended."""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from crunch_game._quantities import mebibytes
from crunch_game.hosts.process.child import FAILED, NOT_STARTED
from crunch_game.hosts.process.diagnosis._stderr import Dump, FatalError
from crunch_game.sandbox import Sandbox, own_groups

_OUTSIDE: Final = "it came from outside the game, or from the model itself"
_CAUSES: Final[Mapping[int, str]] = {
    signal.SIGSEGV: "it used memory that is not its own; most often a bug in a native library, or endless recursion",
    signal.SIGBUS: "a file that it had mapped into memory got shorter, or there was no more room for it",
    signal.SIGABRT: "native code gave up, and mostly says on stderr why",
    signal.SIGFPE: "native code divided an integer by zero",
    signal.SIGILL: "it came to an instruction that this processor lacks; most often a library made for another one",
    signal.SIGSYS: "it made a system call that this machine forbids",
    signal.SIGXFSZ: "a file that it wrote got larger than its limit",
    signal.SIGXCPU: "its processor time was used up",
    signal.SIGPIPE: "it wrote to a pipe that nobody reads",
    **dict.fromkeys((signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF), "a timer that it had set ran out"),
    **dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT), _OUTSIDE),
}
_NO_MEMORY: Final = re.compile(
    r"bad_alloc|memory allocation of \d+ bytes failed|out of memory|(?:cannot|failed to|unable to) allocate|"
    r"malloc failed|MemoryError",
    re.IGNORECASE,
)

_BROKEN: Final = re.compile(
    rf"BrokenPipeError|Connection\w*Error|OSError: \[Errno (?:{errno.EBADF}|{errno.ENOTSOCK}|{errno.ENOTCONN})\]"
)
"""The errors of a channel whose other end, or own descriptor, is closed."""


class ExitDiagnosis:
    """Explains why models' processes ended, which were in this sandbox, or in none."""

    def __init__(self, sandbox: Sandbox | None) -> None:
        self._sandbox = sandbox
        self._counter = next((path for path in _counters() if _oom_kills(path) is not None), None)
        self._claimed = _oom_kills(self._counter) or 0

    def claim_oom_kill(self) -> bool:
        """Whether the kernel counts a process that it killed for lack of memory, and that was not claimed yet.

        Call this once for each process that was killed.
        """
        if (_oom_kills(self._counter) or 0) <= self._claimed:
            return False
        self._claimed += 1
        return True

    def explain(
        self,
        code: int | None,
        *,
        started: bool = True,
        oom_killed: bool = False,
        peak: int = 0,
        stderr: str | None = None,
        dump: Dump | None = None,
        fatal_error: FatalError | None = None,
    ) -> str:
        """Say how a process ended and what most likely ended it, as the end of a sentence.

        Args:
            code: Its exit code, negative for a signal, or None if that is not known.
            started: Whether it ever ran.
            oom_killed: Whether the kernel counts a process that it killed for lack of memory.
            peak: The most memory, in bytes, that the process had used; 0 if that is not known.
            stderr: The last lines that it wrote.
            dump: What faulthandler wrote when it crashed, if it did.
            fatal_error: The error that our own code in it has reported, if it has.
        """
        if code is None:
            return "how is not known"
        if code >= 0:
            return f"exit code {code}; {_explain_exit(code, started, fatal_error)}"
        if code == -signal.SIGKILL:
            cause: str | None = self._explain_kill(oom_killed, peak)
        elif code in (-signal.SIGSEGV, -signal.SIGABRT):
            cause = self._explain_crash(-code, peak, stderr or "", dump)
        else:
            cause = self._explain_signal(-code)
        return f"signal {_signal_name(-code)}" + (f"; {cause}" if cause else "")

    def _explain_signal(self, number: int) -> str | None:
        sandbox = self._sandbox
        if number == signal.SIGXCPU and sandbox is not None and sandbox.cpu is not None:
            return f"the sandbox gives a model's process {sandbox.cpu} s of processor time (Sandbox(cpu=...))"
        if number == signal.SIGXFSZ and sandbox is not None:
            return f"the sandbox lets a file have {mebibytes(sandbox.file_size)} (Sandbox(file_size=...))"
        return _CAUSES.get(number)

    def _explain_kill(self, oom_killed: bool, peak: int) -> str:
        used = f"; it had used {peak >> 20} MiB" if peak else ""
        if oom_killed:
            how = "the kernel counts one more that it ended so"
            return f"memory ran out, of the machine or of its control group: {how}{used}"
        cpu = self._sandbox.cpu if self._sandbox is not None else None
        beyond = "" if cpu is None else f"; or it went on after its {cpu} s of processor time (Sandbox(cpu=...))"
        return (
            f"the game did not send it: most often memory ran out, of the machine or of its control group{used}{beyond}"
        )

    def _explain_crash(self, number: int, peak: int, stderr: str, dump: Dump | None) -> str:
        limit = self._sandbox.memory if self._sandbox is not None else None
        given = f"the sandbox lets a model use {mebibytes(limit)} of memory (Sandbox(memory=...))" if limit else None
        if _NO_MEMORY.search(stderr):
            return "native code got no more memory" + (f": {given}" if given else "")
        if number == signal.SIGSEGV and dump is not None and dump.cut:
            return "its recursion went too deep for native code"
        # A library that does not check malloc() crashes like one that has a bug.
        if number == signal.SIGSEGV and limit and peak > limit // 2:
            return f"{_CAUSES[number]}; or native code did not check that it was refused memory: {given}"
        return _CAUSES[number]


def _explain_exit(code: int, started: bool, fatal_error: FatalError | None) -> str:
    if not started and code == NOT_STARTED:
        return "the system gives no process: there are too many, or memory or descriptors are used up"
    if code != FAILED:
        return "something in it called os._exit, or native code called exit"
    if fatal_error is not None and fatal_error.frames is not None:
        return f"its code raised an exception outside of a call, as a signal's handler may: {fatal_error.reason}"
    if fatal_error is not None and not _BROKEN.match(fatal_error.reason):
        return f"the game's own code in it could not go on: {fatal_error.reason}"
    return "its end of the connection to the game broke; most often it closed open files that are not its own"


def _signal_name(number: int) -> str:
    try:
        return f"{number} ({signal.Signals(number).name})"
    except ValueError:
        return str(number)


def _counters() -> Iterator[Path]:
    """Yield the files that may have the count: those of our control group, then the machine's."""
    for controllers, folder, mount in own_groups():
        if not controllers:
            yield folder / "memory.events"
        elif "memory" in controllers:
            yield folder / "memory.oom_control"
            yield mount / "memory.oom_control"
    yield Path("/proc/vmstat")


def _oom_kills(counter: Path | None) -> int | None:
    """The count in such a file; None if it has none."""
    try:
        found = re.search(r"^oom_kill (\d+)$", counter.read_text(), re.MULTILINE) if counter is not None else None
    except OSError:
        return None
    return int(found[1]) if found else None
