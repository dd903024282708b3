"""The sandbox: what a model's process gives up before the first line of its participant's code.

Nothing here needs a privilege, and each mechanism stands alone: where the kernel lacks one, the others still hold,
and `Sandbox.report` says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crunch_game.errors import GameError
from crunch_game.hosts import barriers, landlock, privileges, seccomp, semaphores, surroundings
from crunch_game.hosts.syscalls import Unavailable

if TYPE_CHECKING:
    from crunch_game.hosts.probes import Barrier

__all__ = ["Sandbox"]

_MIB: Final = 1 << 20
_LEAST_MEMORY: Final = 64 * _MIB
_MOST_MEMORY: Final = 4096 * _MIB
_Path = str | os.PathLike[str]
_DEVICES: Final = ("/dev/null", "/dev/full")


@dataclass(frozen=True)
class Sandbox:
    """What a model may do besides computing: nothing of it unless said here.

    It always reads the interpreter, the libraries, the packages that were imported before it, and its submission; it
    writes its own temporary folder. It is pickled on its way to the models' processes.

    Attributes:
        read: Further paths that models may read.
        write: Further paths that models may read and write; all models share them.
        network: Models may connect to whatever this machine reaches, this machine included. They bind no port
            and never listen; a UDP socket that has sent something hears whoever knows the port that it got.
        processes: Models may start processes and programs, which are in the same sandbox. (multiprocessing's locks
            lie in /dev/shm: whoever needs them says write=["/dev/shm"], and all models share it.)
        memory: Bytes of memory, those of preloaded libraries included; None is no limit. Unless told, half of the
            machine's, and at most 4 GiB.
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
        if self.memory is not None and self.memory < _LEAST_MEMORY:
            raise GameError(
                f"Sandbox.memory is {self.memory!r}; it must be bytes, at least {_LEAST_MEMORY} (Python and its "
                "libraries take that much), or None for no limit"
            )
        if self.cpu is not None and self.cpu < 1:
            raise GameError(f"Sandbox.cpu is {self.cpu!r}; it must be whole seconds, 1 or more, or None for no limit")
        if self.file_size < 0:
            raise GameError(f"Sandbox.file_size is {self.file_size!r}; it must be bytes, 0 or more")
        if self.descriptors < 64:
            raise GameError(f"Sandbox.descriptors is {self.descriptors!r}; Python and its libraries need 64 or more")

    def prepare(self) -> None:
        """Do once what holds for every model: for the fork server, when it has imported everything.

        The process loses nothing but what programs could gain that it executes.
        """
        surroundings.readable(network=self.network, processes=self.processes)
        _does(privileges.empty_bounding_set)
        _does(lambda: seccomp.compiled(**self._calls()))

    def enter(self, readable: Iterable[_Path], writable: Iterable[_Path], shelves: Iterable[str] = ()) -> None:
        """Give everything else up, for good. For a process's only thread, before any code of a participant.

        Args:
            readable: What this model may read besides: its submission. Links are followed.
            writable: What it may read and write besides: its temporary folder.
            shelves: The folders that submissions lie in, as real paths. Where one is in what every model reads, it
                is left out.

        Raises:
            GameError: The process has other threads, which would stay outside.
            OSError: The kernel has a mechanism and refused it; the process must not go on.
        """
        if _threads() > 1:
            raise GameError("a sandbox must be entered before any thread is started: it would stay outside")
        everything = surroundings.readable(network=self.network, processes=self.processes)
        surrounding, listed = surroundings.without(everything, shelves)
        # What is mapped from /dev/zero is memory that no limit counts.
        zero = () if self.memory else ("/dev/zero",)
        read = [*surrounding, *zero, *_texts(self.read), *_texts(readable)]
        write = [*_DEVICES, *_texts(self.write), *_texts(writable)]
        privileges.limit(self.limits())
        _does(privileges.volunteer)
        _does(privileges.drop_capabilities)
        _does(privileges.no_new_privileges)
        locked = _does(partial(landlock.restrict, read, write, listed, network=self.network, execute=self.processes))
        filtered = _does(partial(seccomp.restrict, **self._calls()))
        if not self.processes:
            semaphores.among_threads()
        barriers.enclose(barriers.Enclosure(self, tuple(read), tuple(write), locked, filtered))

    def _calls(self) -> dict[str, bool]:
        limited, scoped = self.memory is not None, landlock.scopes()
        return {"network": self.network, "processes": self.processes, "memory": limited, "scoped": scoped}

    def limits(self) -> dict[str, int]:
        """The resource limits, by their names in the module `resource` (without `RLIMIT_`)."""
        given = {"DATA": self.memory, "CPU": self.cpu, "FSIZE": self.file_size, "NOFILE": self.descriptors}
        # At 0 a crash would still be piped to the program that the machine may have set to take it, at 1 it is not.
        fixed = {"CORE": 1, "MSGQUEUE": 0, "NICE": 0, "RTPRIO": 0}
        return fixed | {name: value for name, value in given.items() if value is not None}

    def report(self) -> list[Barrier]:
        """What of this sandbox holds on this machine, line by line, tried out in a process of its own; takes 0.1 s."""
        from crunch_game.hosts import probes

        return probes.report(self)


def _share_of_memory() -> int:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return max(_LEAST_MEMORY, min(_MOST_MEMORY, machine // 2))


def _paths(name: str, given: Iterable[_Path]) -> tuple[str, ...]:
    if isinstance(given, str | bytes):
        raise GameError(f"Sandbox.{name} is {given!r}; it must be a list of paths")
    paths = [Path(path).absolute() for path in given]
    for path in paths:
        if not path.exists():
            raise GameError(f"Sandbox.{name} has {path}, which does not exist")
    return tuple(map(str, paths))


def _texts(paths: Iterable[_Path]) -> list[str]:
    return [os.fspath(path) for path in paths]


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - the fastest way, for every model
    except OSError:
        return 1


def _does(mechanism: Callable[[], object]) -> bool:
    """Whether the machine has the mechanism; what it has must work."""
    try:
        mechanism()
    except Unavailable:
        return False
    return True
