"""Tries every barrier of a sandbox on this machine, in a process of its own, and reports which of them hold."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import pickle
import resource
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from crunch_game.sandbox import _landlock as landlock
from crunch_game.sandbox import _seccomp as seccomp
from crunch_game.sandbox._syscalls import Unavailable, call, prctl


@dataclass(frozen=True)
class Barrier:
    """One thing that a model must not do, and whether this machine prevents it.

    Attributes:
        name: What the model must not do.
        enforced: A model tried it, and was refused.
        mechanism: What refuses it.
        why_not: If it was not refused, the reason.
        expected: It was not refused because nothing could refuse it, or because the game allows it.
    """

    name: str
    enforced: bool
    mechanism: str
    why_not: str | None = None
    expected: bool = False


_LANDLOCK: Final = "Landlock"
_SECCOMP: Final = "seccomp"
_LIMIT: Final = "resource limit"
_NEVER: Final = {
    "fill the disk with many files": "no limit counts all files of a model; give TMPDIR a quota",
    "see that a file exists, its size and times": "Landlock does not watch stat(); only contents and listings are kept",
    "start very many threads": "only a cgroup counts them (pids.max); memory limits them in passing",
    "use more memory than it may, whatever its tricks": "only a cgroup counts all of it (memory.max)",
}
_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from crunch_game.sandbox._probes import main; main()"
)


class _Enterable(Protocol):
    """A `Sandbox`, as far as its probes use it. They do not import it, since it imports them for its report."""

    @property
    def memory(self) -> int | None: ...

    def limits(self) -> dict[str, int]: ...

    def enter(self, readable: Sequence[Path], writable: Sequence[Path]) -> None: ...


@dataclass(frozen=True)
class _Probe:
    """A barrier and how to try it.

    Attributes:
        is_refused: Tries it; whether it was refused.
        since: The version of Landlock that brought it.
        unless: The argument of Sandbox that allows it, as it is written there.
    """

    name: str
    mechanism: str
    is_refused: Callable[[_Scene], bool]
    since: int = 1
    unless: str | None = None


@dataclass(frozen=True)
class _Scene:
    sandbox: _Enterable
    own: Path
    secret: Path
    parent: int


def report(sandbox: _Enterable) -> list[Barrier]:
    """Try every barrier of the sandbox."""
    never = [Barrier(name, False, "none", why, expected=True) for name, why in _NEVER.items()]
    if not sys.platform.startswith("linux"):
        why = f"{sys.platform} has no such thing; it needs Linux"
        return [Barrier(probe.name, False, probe.mechanism, why) for probe in _PROBES] + never
    refused = _tried(sandbox)
    return [_barrier(probe, sandbox, refused) for probe in _PROBES] + never


def _barrier(probe: _Probe, sandbox: _Enterable, refused: dict[str, bool] | str) -> Barrier:
    if isinstance(refused, str):
        return Barrier(probe.name, False, probe.mechanism, f"it could not be tried: {refused}")
    if refused[probe.name]:
        return Barrier(probe.name, True, probe.mechanism)
    argument, _, value = (probe.unless or "").partition("=")
    if argument and str(getattr(sandbox, argument)) == value:
        allowed = f"the game allows it: Sandbox({probe.unless})"
        return Barrier(probe.name, False, probe.mechanism, allowed, expected=True)
    return Barrier(probe.name, False, probe.mechanism, _why_not(probe))


def _why_not(probe: _Probe) -> str:
    try:
        if probe.mechanism == _LANDLOCK and landlock.abi() < probe.since:
            return f"the kernel has version {landlock.abi()} of Landlock; this needs version {probe.since}"
        if probe.mechanism == _SECCOMP:
            seccomp.check()
    except Unavailable as error:
        return str(error)
    return "it was tried, and not refused"


def _tried(sandbox: _Enterable) -> dict[str, bool] | str:
    """Return by the probes' names what was refused; or why that cannot be found out."""
    with tempfile.TemporaryDirectory(prefix="crunch_game-") as folder:
        secret = Path(folder, "secret")
        secret.write_text("not for models")
        own = Path(folder, "own")
        own.mkdir()
        done = subprocess.run(
            [sys.executable, "-I", "-c", _PROGRAM, json.dumps(sys.path)],
            input=pickle.dumps(_Scene(sandbox, own, secret, os.getpid())),
            capture_output=True,
            check=False,
        )
    if done.returncode != 0:
        return (done.stderr.decode(errors="replace").splitlines() or [f"its process ended with {done.returncode}"])[-1]
    refused: dict[str, bool] = json.loads(done.stdout)
    return refused


def main() -> None:
    """Enter the sandbox, try every barrier, print what was refused as JSON, and exit: the program of `report`."""
    scene: _Scene = pickle.load(sys.stdin.buffer)
    scene.sandbox.enter([], [scene.own])
    print(json.dumps({probe.name: probe.is_refused(scene) for probe in _PROBES}), flush=True)
    os._exit(0)


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (PermissionError, MemoryError):
        return True
    except OSError:
        return False
    return False


def _write(scene: _Scene) -> bool:
    beside = scene.secret.with_name("beside")
    return all(_refused(attempt) for attempt in (lambda: beside.write_text("x"), beside.mkdir, scene.secret.unlink))


def _change(scene: _Scene) -> bool:
    before = scene.secret.stat()
    for change in (lambda: scene.secret.chmod(0), lambda: os.utime(scene.secret, (0, 0))):
        _refused(change)
    after = scene.secret.stat()
    return (before.st_mode, before.st_mtime) == (after.st_mode, after.st_mtime)


def _processes_of_others(scene: _Scene) -> bool:
    return all(_refused(Path(f"/proc/{scene.parent}/{name}").open) for name in ("environ", "mem", "maps"))


def _fork(scene: _Scene) -> bool:
    def attempt() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    return _refused(attempt)


def _no_privileges(scene: _Scene) -> bool:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    no_capabilities = all(int(status[name], 16) == 0 for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"))
    return no_capabilities and prctl(39) == 1  # PR_GET_NO_NEW_PRIVS


def _memory(scene: _Scene) -> bool:
    size = scene.sandbox.memory
    return size is not None and _refused(lambda: bytearray(size)) and _refused(lambda: mmap.mmap(-1, size))


def _calls(attempt: Callable[[_Scene], object]) -> Callable[[_Scene], bool]:
    """A barrier that is tried with one call."""
    return lambda scene: _refused(lambda: attempt(scene))


def _socket(family: int, kind: int) -> Callable[[_Scene], bool]:
    return _calls(lambda scene: socket.socket(family, kind).close())


def _limit(name: str) -> Callable[[_Scene], bool]:
    above = 1 if name == "CPU" else 0  # one more second, in which SIGXCPU tells the process

    def holds(scene: _Scene) -> bool:
        soft, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))
        asked = scene.sandbox.limits().get(name)
        return asked is not None and 0 <= soft <= asked and 0 <= hard <= asked + above

    return holds


_PROBES: Final = (
    _Probe("read files of others", _LANDLOCK, _calls(lambda scene: scene.secret.read_bytes())),
    _Probe("list folders of others", _LANDLOCK, _calls(lambda scene: list(scene.secret.parent.iterdir()))),
    _Probe("write, make or remove files outside its own folder", _LANDLOCK, _write),
    _Probe("empty files of others", _LANDLOCK, _calls(lambda scene: os.truncate(scene.secret, 0)), since=3),
    _Probe("change modes and times of files of others", _SECCOMP, _change),
    _Probe("read the environment and memory of other processes in /proc", _LANDLOCK, _processes_of_others),
    _Probe(
        "trace other processes",
        _SECCOMP,
        _calls(lambda scene: call("ptrace", 16, scene.parent, 0, 0)),  # PTRACE_ATTACH
    ),
    _Probe("signal other processes", _SECCOMP, _calls(lambda scene: os.kill(scene.parent, 0))),
    _Probe(
        "set limits of other processes",
        _SECCOMP,
        _calls(lambda scene: resource.prlimit(scene.parent, resource.RLIMIT_CORE)),
    ),
    _Probe("use TCP", _SECCOMP, _socket(socket.AF_INET, socket.SOCK_STREAM), unless="network=True"),
    _Probe("use UDP", _SECCOMP, _socket(socket.AF_INET, socket.SOCK_DGRAM), unless="network=True"),
    _Probe("connect to Unix sockets", _SECCOMP, _socket(socket.AF_UNIX, socket.SOCK_STREAM)),
    _Probe("start processes", _SECCOMP, _fork, unless="processes=True"),
    _Probe(
        "execute programs",
        _SECCOMP,
        _calls(lambda scene: os.execv("/nonexistent", ["nonexistent"])),
        unless="processes=True",
    ),
    _Probe("make namespaces", _SECCOMP, _calls(lambda scene: call("unshare", 0x10000000))),  # CLONE_NEWUSER
    _Probe(
        "get around the filter of system calls (io_uring)",
        _SECCOMP,
        _calls(lambda scene: call("io_uring_setup", 1, ctypes.create_string_buffer(256))),
    ),
    _Probe("have or gain privileges", "capabilities, no_new_privs", _no_privileges),
    _Probe("allocate more memory than it may", _LIMIT, _memory, unless="memory=None"),
    _Probe("use more processor time than it may", _LIMIT, _limit("CPU"), unless="cpu=None"),
    _Probe("write a larger file than it may", _LIMIT, _limit("FSIZE")),
    _Probe("open more files than it may", _LIMIT, _limit("NOFILE")),
    _Probe("leave core dumps", _LIMIT, _limit("CORE")),
)
