"""What of a sandbox holds on this machine: every barrier is run into, in a process of its own."""

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
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crunch_game.hosts import landlock, seccomp
from crunch_game.hosts.syscalls import Unavailable, call, prctl

if TYPE_CHECKING:
    from crunch_game.hosts.sandbox import Sandbox

__all__ = ["Barrier", "main", "report"]


@dataclass(frozen=True)
class Barrier:
    """One thing that a model must not do, and whether this machine keeps it from that.

    Attributes:
        name: What it must not do.
        enforced: It was tried, and refused.
        mechanism: What refuses it.
        why_not: Why nothing does, where that is so.
        expected: Nothing does because no machine could, or because the game allows it.
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
    "fill the disk with many files": "no limit counts all files of a model; give the temporary folder a quota",
    "see that a file exists, its size and times": "Landlock does not watch stat(); only contents and listings are kept",
    "start very many threads": "only a cgroup counts them (pids.max); memory limits them in passing",
    "use more memory than it may, whatever its tricks": "only a cgroup counts all of it (memory.max)",
}
_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from crunch_game.hosts.probes import main; main()"
)


@dataclass(frozen=True)
class _Probe:
    """A barrier and how to run into it: `hit` is true if that was refused.

    Attributes:
        name: As the barrier's.
        mechanism: As the barrier's.
        since: The version of Landlock that has it.
        unless: The field of the sandbox that gives it up, as it is written.
    """

    name: str
    mechanism: str
    hit: Callable[[_Scene], bool]
    since: int = 1
    unless: str | None = None


@dataclass(frozen=True)
class _Scene:
    sandbox: Sandbox
    own: Path
    secret: Path
    parent: int


def report(sandbox: Sandbox) -> list[Barrier]:
    """Run into every barrier of the sandbox."""
    never = [Barrier(name, False, "none", why, expected=True) for name, why in _NEVER.items()]
    if not sys.platform.startswith("linux"):
        why = f"{sys.platform} has no such thing; it needs Linux"
        return [Barrier(probe.name, False, probe.mechanism, why) for probe in _PROBES] + never
    refused = _tried(sandbox)
    return [_barrier(probe, sandbox, refused) for probe in _PROBES] + never


def _barrier(probe: _Probe, sandbox: Sandbox, refused: dict[str, bool] | str) -> Barrier:
    if isinstance(refused, str):
        return Barrier(probe.name, False, probe.mechanism, f"it could not be tried: {refused}")
    if refused[probe.name]:
        return Barrier(probe.name, True, probe.mechanism)
    if probe.unless is not None and _gives_up(sandbox, probe.unless):
        return Barrier(
            probe.name, False, probe.mechanism, f"the game allows it: Sandbox({probe.unless})", expected=True
        )
    return Barrier(probe.name, False, probe.mechanism, _why_not(probe))


def _why_not(probe: _Probe) -> str:
    try:
        if probe.mechanism == _LANDLOCK and landlock.abi() < probe.since:
            return f"the kernel has version {landlock.abi()} of Landlock; this needs version {probe.since}"
        if probe.mechanism == _SECCOMP:
            prctl(21)
            seccomp.compiled(network=False, processes=False, memory=False, scoped=False)
    except Unavailable as error:
        return str(error)
    except OSError:
        return "the kernel has no seccomp (CONFIG_SECCOMP_FILTER)"
    return "it was tried, and not refused"


def _gives_up(sandbox: Sandbox, field: str) -> bool:
    name, _, value = field.partition("=")
    return str(getattr(sandbox, name)) == value


def _tried(sandbox: Sandbox) -> dict[str, bool] | str:
    """What was refused, by the names of the probes, or why that cannot be found out."""
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
    """Enter the sandbox, run into every barrier, and print what was refused; for a process of its own."""
    scene: _Scene = pickle.load(sys.stdin.buffer)
    scene.sandbox.enter([], [scene.own])
    print(json.dumps({probe.name: probe.hit(scene) for probe in _PROBES}), flush=True)
    os._exit(0)


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (PermissionError, MemoryError):
        return True
    except OSError:
        return False
    return False


def _read(scene: _Scene) -> bool:
    return _refused(scene.secret.read_bytes)


def _list(scene: _Scene) -> bool:
    return _refused(lambda: os.listdir(scene.secret.parent))  # noqa: PTH208


def _write(scene: _Scene) -> bool:
    beside = scene.secret.with_name("beside")
    return (
        _refused(lambda: beside.write_text("x")) and _refused(lambda: beside.mkdir()) and _refused(scene.secret.unlink)
    )


def _empty(scene: _Scene) -> bool:
    return _refused(lambda: os.truncate(scene.secret, 0))


def _change(scene: _Scene) -> bool:
    before = scene.secret.stat()
    for change in (lambda: scene.secret.chmod(0), lambda: os.utime(scene.secret, (0, 0))):
        _refused(change)
    after = scene.secret.stat()
    return (before.st_mode, before.st_mtime) == (after.st_mode, after.st_mtime)


def _processes_of_others(scene: _Scene) -> bool:
    return all(_refused(Path(f"/proc/{scene.parent}/{name}").open) for name in ("environ", "mem", "maps"))


def _trace(scene: _Scene) -> bool:
    return _refused(lambda: call("ptrace", 16, scene.parent, 0, 0))  # PTRACE_ATTACH


def _signal(scene: _Scene) -> bool:
    return _refused(lambda: os.kill(scene.parent, 0))


def _limit_others(scene: _Scene) -> bool:
    return _refused(lambda: resource.prlimit(scene.parent, resource.RLIMIT_CORE))


def _socket(family: int, kind: int, scene: _Scene) -> bool:
    return _refused(lambda: socket.socket(family, kind).close())


def _fork(scene: _Scene) -> bool:
    def attempt() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)

    return _refused(attempt)


def _execute(scene: _Scene) -> bool:
    return _refused(lambda: os.execv("/nonexistent", ["nonexistent"]))


def _unshare(scene: _Scene) -> bool:
    return _refused(lambda: call("unshare", 0x10000000))  # CLONE_NEWUSER


def _no_privileges(scene: _Scene) -> bool:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return all(int(status[name], 16) == 0 for name in ("CapPrm", "CapEff", "CapInh", "CapAmb")) and prctl(39) == 1


def _uring(scene: _Scene) -> bool:
    return _refused(lambda: call("io_uring_setup", 1, ctypes.create_string_buffer(256)))


def _memory(scene: _Scene) -> bool:
    size = scene.sandbox.memory
    return size is not None and _refused(lambda: bytearray(size)) and _refused(lambda: mmap.mmap(-1, size))


def _limit(name: str, scene: _Scene) -> bool:
    which: int = getattr(resource, f"RLIMIT_{name}")
    soft, hard = resource.getrlimit(which)
    asked = scene.sandbox.limits().get(name)
    above = 1 if name == "CPU" else 0  # of a second, in which the process is told
    return asked is not None and 0 <= soft <= asked and 0 <= hard <= asked + above


_PROBES: Final = (
    _Probe("read files of others", _LANDLOCK, _read),
    _Probe("list folders of others", _LANDLOCK, _list),
    _Probe("write, make or remove files outside its own folder", _LANDLOCK, _write),
    _Probe("empty files of others", _LANDLOCK, _empty, since=3),
    _Probe("change modes and times of files of others", _SECCOMP, _change),
    _Probe("read the environment and memory of other processes in /proc", _LANDLOCK, _processes_of_others),
    _Probe("trace other processes", _SECCOMP, _trace),
    _Probe("signal other processes", _SECCOMP, _signal),
    _Probe("set limits of other processes", _SECCOMP, _limit_others),
    _Probe("use TCP", _SECCOMP, partial(_socket, socket.AF_INET, socket.SOCK_STREAM), unless="network=True"),
    _Probe("use UDP", _SECCOMP, partial(_socket, socket.AF_INET, socket.SOCK_DGRAM), unless="network=True"),
    _Probe("connect to Unix sockets", _SECCOMP, partial(_socket, socket.AF_UNIX, socket.SOCK_STREAM)),
    _Probe("start processes", _SECCOMP, _fork, unless="processes=True"),
    _Probe("execute programs", _SECCOMP, _execute, unless="processes=True"),
    _Probe("make namespaces", _SECCOMP, _unshare),
    _Probe("get around the filter of system calls (io_uring)", _SECCOMP, _uring),
    _Probe("have or gain privileges", "capabilities, no_new_privs", _no_privileges),
    _Probe("allocate more memory than it may", _LIMIT, _memory, unless="memory=None"),
    _Probe("use more processor time than it may", _LIMIT, partial(_limit, "CPU"), unless="cpu=None"),
    _Probe("write a larger file than it may", _LIMIT, partial(_limit, "FSIZE")),
    _Probe("open more files than it may", _LIMIT, partial(_limit, "NOFILE")),
    _Probe("leave core dumps", _LIMIT, partial(_limit, "CORE")),
)
