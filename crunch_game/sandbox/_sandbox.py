"""The sandbox: the rights that a model's process gives up before it runs its participant's code.

No mechanism needs a privilege, and none depends on another: where the kernel lacks one, the others still hold, and
`Sandbox.report` says so.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crunch_game._public import public
from crunch_game.errors import GameError, UsageError
from crunch_game.sandbox import _landlock as landlock
from crunch_game.sandbox import _readable as surroundings
from crunch_game.sandbox import _seccomp as seccomp
from crunch_game.sandbox import _semaphores as semaphores
from crunch_game.sandbox._syscalls import Unavailable, function, prctl

if TYPE_CHECKING:
    from crunch_game.sandbox._probes import Barrier

_MIB: Final = 1 << 20
_MIN_MEMORY_BYTES: Final = 64 * _MIB
_MAX_DEFAULT_MEMORY_BYTES: Final = 4096 * _MIB
_MIN_DESCRIPTORS: Final = 64
_Path = str | os.PathLike[str]
_DEVICES: Final = ("/dev/null", "/dev/full")
_BOUNDING_DROP: Final = 24
_NO_NEW_PRIVS: Final = 38  # makes setuid bits and file capabilities of executed programs void
_AMBIENT: Final = 47
_AMBIENT_CLEAR: Final = 4
_CAPABILITY_VERSION: Final = 0x20080522


@public
@dataclass(frozen=True)
class Sandbox:
    """What a model may do besides computing. By default it may do none of the following.

    A model can always read the interpreter, the libraries, the packages that were imported before it started, and its
    submission; it can always write to its own working folder. A Sandbox is pickled for the models' processes.

    Attributes:
        read: Further paths that models may read.
        write: Further paths that models may read and write; all models share them.
        network: Models may connect to whatever this machine can reach, itself included. They cannot bind a port or
            listen, but a UDP socket that has sent something receives from anyone who knows its port.
        processes: Models may start processes and programs, which are in the same sandbox. (multiprocessing keeps its
            locks in /dev/shm: a game that needs them adds write=["/dev/shm"], which all models then share.)
        memory: Bytes of memory, those of preloaded libraries included; None is no limit. The default is half of the
            machine's memory, and at most 4 GiB.
        cpu: Seconds of processor time in the whole life of a model's process; None is no limit.
        file_size: Bytes of one file.
        descriptors: Open files, sockets and pipes.

    Raises:
        GameError: A number is out of its range, or a path does not exist.
    """

    read: Iterable[_Path] = ()
    write: Iterable[_Path] = ()
    network: bool = False
    processes: bool = False
    memory: int | None = field(default_factory=lambda: _share_of_memory())
    cpu: int | None = None
    file_size: int = 256 * _MIB
    descriptors: int = 512

    def __post_init__(self) -> None:
        for name in ("read", "write"):
            object.__setattr__(self, name, _paths(name, getattr(self, name)))
        if self.memory is not None and self.memory < _MIN_MEMORY_BYTES:
            raise GameError(
                f"Sandbox.memory is {self.memory!r}; it must be bytes, at least {_MIN_MEMORY_BYTES} (Python and its "
                "libraries take that much), or None for no limit"
            )
        if self.cpu is not None and self.cpu < 1:
            raise GameError(f"Sandbox.cpu is {self.cpu!r}; it must be whole seconds, 1 or more, or None for no limit")
        if self.file_size < 0:
            raise GameError(f"Sandbox.file_size is {self.file_size!r}; it must be bytes, 0 or more")
        if self.descriptors < _MIN_DESCRIPTORS:
            raise GameError(
                f"Sandbox.descriptors is {self.descriptors!r}; Python and its libraries need {_MIN_DESCRIPTORS} or more"
            )

    def prepare(self) -> None:
        """Do what is the same for every model. The fork server calls this once, after its last import.

        The fork server keeps its own rights, but programs that it executes can no longer gain any.
        """
        surroundings.readable(network=self.network, processes=self.processes)
        _is_available(_empty_bounding_set)
        _is_available(lambda: seccomp.compiled(**self._allowed_calls()))

    def enter(
        self, readable: Iterable[_Path], writable: Iterable[_Path], submission_folders: Iterable[str] = ()
    ) -> None:
        """Give up every other right, for good. The process must have one thread, and no participant's code in it.

        Args:
            readable: What only this model may read: its submission. Links are followed.
            writable: What only this model may read and write: its working folder.
            submission_folders: The folders in which models' submissions are, as real paths. They are left out of
                what every model may read.

        Raises:
            UsageError: The process has other threads, which would stay outside the sandbox.
            OSError: The kernel has a mechanism, but it failed. The process must not continue.
        """
        if count_threads() > 1:
            raise UsageError("a sandbox must be entered before any thread is started: it would stay outside")
        common = surroundings.readable(network=self.network, processes=self.processes)
        # The game's own package is readable, and submissions may be in it.
        surrounding, listed = surroundings.without(common, submission_folders)
        # Private mappings of /dev/zero are memory that RLIMIT_DATA does not count.
        zero = () if self.memory else ("/dev/zero",)
        read = [*surrounding, *zero, *(os.fspath(path) for path in (*self.read, *readable))]
        write = [*_DEVICES, *(os.fspath(path) for path in (*self.write, *writable))]
        _lower(self.limits())
        with suppress(OSError):  # to be the first that the kernel kills when the machine runs out of memory
            Path("/proc/self/oom_score_adj").write_bytes(b"1000")
        # A process without capabilities can restrict itself with Landlock and seccomp only after no_new_privs.
        _is_available(_drop_capabilities)
        _is_available(partial(prctl, _NO_NEW_PRIVS, 1))
        locked = _is_available(
            partial(landlock.restrict, read, write, listed, network=self.network, execute=self.processes)
        )
        filtered = _is_available(partial(seccomp.restrict, **self._allowed_calls()))
        if not self.processes:
            semaphores.among_threads()
        global _enclosure
        _enclosure = Enclosure(self, tuple(read), tuple(write), locked, filtered)

    def _allowed_calls(self) -> dict[str, bool]:
        limited, scoped = self.memory is not None, landlock.scopes()
        return {"network": self.network, "processes": self.processes, "memory": limited, "scoped": scoped}

    def limits(self) -> dict[str, int]:
        """The resource limits, by their names in the module `resource` (without `RLIMIT_`)."""
        given = {"DATA": self.memory, "CPU": self.cpu, "FSIZE": self.file_size, "NOFILE": self.descriptors}
        # Not 0: with a limit of 0 the kernel still pipes a crash to the program that core_pattern names.
        fixed = {"CORE": 1, "MSGQUEUE": 0, "NICE": 0, "RTPRIO": 0}
        return fixed | {name: value for name, value in given.items() if value is not None}

    def report(self) -> list[Barrier]:
        """Try every barrier of this sandbox on this machine, in a process of its own. Takes 0.1 s."""
        from crunch_game.sandbox import _probes as probes

        return probes.report(self)


@dataclass(frozen=True, slots=True)
class Enclosure:
    """The sandbox that this process has entered, as far as the machine supports it.

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


_enclosure: Enclosure | None = None


def enclosure() -> Enclosure | None:
    """Return what this process is in; None if it has entered no sandbox."""
    return _enclosure


def _share_of_memory() -> int:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(_MIN_MEMORY_BYTES, min(_MAX_DEFAULT_MEMORY_BYTES, machine // 2))


def _paths(name: str, given: Iterable[_Path]) -> tuple[str, ...]:
    if isinstance(given, str | bytes):
        raise GameError(f"Sandbox.{name} is {given!r}; it must be a list of paths")
    paths = [Path(path).absolute() for path in given]
    for path in paths:
        if not path.exists():
            raise GameError(f"Sandbox.{name} has {path}, which does not exist")
    return tuple(map(str, paths))


def count_threads() -> int:
    """Return how many threads this process has; 1 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - every model does this, and it is the fastest way
    except OSError:
        return 1


@cache  # forked processes inherit the empty set
def _empty_bounding_set() -> None:
    """Prevent programs that are executed later from gaining capabilities."""
    with suppress(OSError):  # EINVAL: beyond the kernel's last capability; EPERM: an ordinary user has none to lose
        for capability in range(64):
            prctl(_BOUNDING_DROP, capability)


def _drop_capabilities() -> None:
    """Give up all capabilities in all five sets. For root this leaves a user who owns many files."""
    _empty_bounding_set()
    with suppress(OSError):  # kernels before 4.3 have no ambient set
        prctl(_AMBIENT, _AMBIENT_CLEAR)
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION, 0))
    function("capset", header, ctypes.create_string_buffer(24))


def _lower(limits: Mapping[str, int]) -> None:
    """Lower resource limits, soft and hard, by name ("DATA"). A hard limit that is lower already stays.

    The hard limit of CPU time is one second above the soft one, at which SIGXCPU makes the process say what happened.
    """
    for name, value in limits.items():
        which = getattr(resource, f"RLIMIT_{name}", None)
        if which is None:
            continue  # another platform
        hard = resource.getrlimit(which)[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        above = lowest if name != "CPU" else value + 1 if hard == resource.RLIM_INFINITY else min(value + 1, hard)
        resource.setrlimit(which, (lowest, above))


def _is_available(mechanism: Callable[[], object]) -> bool:
    """Use the mechanism; false if the machine lacks it. If it has the mechanism and that fails, the error is raised."""
    try:
        mechanism()
    except Unavailable:
        return False
    return True
