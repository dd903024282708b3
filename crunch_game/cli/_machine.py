"""Finds out what this machine has for running models, and tries one out."""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from statistics import median
from typing import Any, Final

from crunch_game import events
from crunch_game.errors import CrunchGameError
from crunch_game.faults import describe_exception
from crunch_game.hosts.process import ProcessHost
from crunch_game.outcomes import Status
from crunch_game.policy import Policy
from crunch_game.runner import ModelRunner
from crunch_game.sandbox import Sandbox

_PROBE: Final = """import crunch_game


class Probe(crunch_game.TrackerBase):
    def predict(self, number):
        return number
"""
_EXTRAS: Final = ("crunchdao", "dask", "postgres", "scoring", "tables")
"""Those that running a game may need."""
_CALLS: Final = 50
_TRIAL_TIMEOUT: Final = 60.0
_RESERVED_DESCRIPTORS: Final = 64
_DESCRIPTORS_PER_MODEL: Final = 2
"""Its channel, and one to watch its process if the fork server ends."""


@dataclass(frozen=True)
class Machine:
    """What limits a game; None if the platform does not tell.

    Attributes:
        cores: Processors that this process may use.
        memory, free_memory: Bytes, of the container if this is in one.
        descriptors: Files, sockets and pipes that one process may have open.
        models: How many models these are enough for.
    """

    python: str
    executable: str
    platform: str
    cores: float
    memory: int | None
    free_memory: int | None
    descriptors: int | None
    models: int | None


def machine() -> Machine:
    """Return the machine as it is now."""
    memory, free = _memory()
    descriptors = _descriptors()
    return Machine(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        executable=sys.executable,
        platform=f"{platform.system()} {platform.release()}, {platform.machine()}",
        cores=_cores(),
        memory=memory,
        free_memory=free,
        descriptors=descriptors,
        models=None if descriptors is None else max(0, (descriptors - _RESERVED_DESCRIPTORS) // _DESCRIPTORS_PER_MODEL),
    )


def _cores() -> float:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    return min(cores, int(quota) / int(period)) if quota.isdigit() else cores


def _memory() -> tuple[int | None, int | None]:
    meminfo: dict[str, str] = dict(re.findall(r"^(\w+): +(\d+) kB$", _read("/proc/meminfo"), re.MULTILINE))
    if "MemTotal" not in meminfo:
        return None, None
    total, free = int(meminfo["MemTotal"]) << 10, int(meminfo.get("MemAvailable", meminfo["MemFree"])) << 10
    most, used = _read("/sys/fs/cgroup/memory.max"), _read("/sys/fs/cgroup/memory.current")
    if most.isdigit() and used.isdigit():
        total, free = min(total, int(most)), min(free, max(0, int(most) - int(used)))
    return total, free


def _descriptors() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True)
class Libraries:
    """Versions by name, of the package and its requirements, and by extra. None means not installed."""

    own: Mapping[str, str | None]
    extras: Mapping[str, Mapping[str, str | None]]


def libraries() -> Libraries:
    """Return the installed versions of what the package can use."""
    own: dict[str, str | None] = {"crunch-game": _version("crunch-game")}
    extras: dict[str, dict[str, str | None]] = defaultdict(dict)
    for requirement in (requires("crunch-game") if own["crunch-game"] else None) or ():
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", requirement)
        if extra is None:
            own[name] = _version(name)
        elif extra[1] in _EXTRAS:
            extras[extra[1]][name] = _version(name)
    return Libraries(own, dict(sorted(extras.items())))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Trial:
    """The result of running one model in a process.

    Attributes:
        sandbox: Whether it was in the sandbox.
        server, model, call: Seconds to start the fork server, to load the model, and for a call.
        error: Why it did not work.
    """

    sandbox: bool
    server: float | None = None
    model: float | None = None
    call: float | None = None
    error: str | None = None


def _write_probe(folder: str) -> Path:
    path = Path(folder, "probe.py")
    path.write_text(_PROBE)
    return path


async def try_out(sandbox: Sandbox | None) -> Trial:
    """Start the fork server and one model, and call it."""
    heard: dict[type, float] = {}
    failed: list[str] = []
    inside = sandbox is not None

    def hear(event: Any) -> None:
        heard.setdefault(type(event), time.perf_counter())
        if isinstance(event, events.ModelLoadFailed):
            failed.append(event.fault.message)

    with tempfile.TemporaryDirectory(prefix="crunch_game-") as folder:
        probe = _write_probe(folder)
        began = time.perf_counter()
        runner = ModelRunner(
            "crunch_game.tracker.TrackerBase",
            [probe],
            host=ProcessHost(sandbox=sandbox),
            policy=Policy(timeout=_TRIAL_TIMEOUT),
            on_event=hear,
            ready_timeout=_TRIAL_TIMEOUT,
        )
        try:
            async with runner:
                if failed:
                    return Trial(inside, error=failed[0])
                outcomes = [(await runner.predict(number))["probe"] for number in range(_CALLS)]
        except (CrunchGameError, OSError) as error:
            return Trial(inside, error=str(error) if isinstance(error, CrunchGameError) else describe_exception(error))
    wrong = next((outcome.error for outcome in outcomes if outcome.status is not Status.OK), None)
    if wrong is not None:
        return Trial(inside, error=wrong.message)
    joined, ready = heard[events.ModelJoined], heard[events.ModelReady]
    call = median(outcome.elapsed for outcome in outcomes)
    return Trial(inside, server=joined - began, model=ready - joined, call=call)
