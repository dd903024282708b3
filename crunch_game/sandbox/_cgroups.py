"""The control groups of this process: where the kernel says how much of the machine it may use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_LIMITS: Final = {
    "": ("cpu.max", "cpuset.cpus", "cpuset.cpus.effective", "memory.high", "memory.max", "memory.swap.max", "pids.max"),
    "cpu": ("cpu.cfs_period_us", "cpu.cfs_quota_us"),
    "cpuset": ("cpuset.cpus", "cpuset.effective_cpus"),
    "memory": ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes"),
    "pids": ("pids.max",),
}
"""The files that hold limits, by controller; "" is version 2, whose groups have all controllers."""
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


class ControlGroup(NamedTuple):
    """One group of this process.

    Attributes:
        controllers: What it limits, as "cpu" and "memory"; empty for version 2, where that is everything.
        folder: The group's own folder.
        mount: The outermost folder of its hierarchy that this process can see: itself or one around it.
    """

    controllers: frozenset[str]
    folder: Path
    mount: Path


def own_groups(process: Path = Path("/proc/self")) -> list[ControlGroup]:
    """The groups of a process, one for each hierarchy and place where that is mounted; none if the system has none."""
    try:
        groups = _groups((process / "cgroup").read_text())
        mounts = (process / "mountinfo").read_text().splitlines()
    except OSError:
        return []
    return [group for line in mounts if (group := _mounted(line, groups)) is not None]


def limit_files(groups: list[ControlGroup]) -> Iterator[str]:
    """Yield the files that say how much of the machine these groups, and those around them, may use.

    A group is limited by those around it too. What a group uses, and which processes are in it, is in other files.
    """
    for controllers, folder, mount in groups:
        names = [name for each in (sorted(controllers) or [""]) for name in _LIMITS.get(each, ())]
        around = [folder, *folder.parents]
        for each in around[: around.index(mount) + 1]:
            yield from (str(file) for name in names if (file := each / name).exists())


def _groups(text: str) -> dict[frozenset[str], str]:
    """The paths of the groups within their hierarchies, by their controllers."""
    lines = [line.split(":", 2) for line in text.splitlines()]
    return {frozenset(filter(None, controllers.split(","))): path for _, controllers, path in lines}


def _mounted(line: str, groups: dict[frozenset[str], str]) -> ControlGroup | None:
    """The group of the hierarchy that a line of mountinfo mounts; None if it mounts something else."""
    before, _, after = line.partition(" - ")
    kind, _, options = (*after.split(" "), "", "")[:3]
    if kind not in ("cgroup", "cgroup2"):
        return None
    named = set(options.split(",")) if kind == "cgroup" else set()
    # A hierarchy of version 1 names its controllers among its options, and one of version 2 has none to name.
    controllers = next((each for each in groups if each <= named and bool(each) == (kind == "cgroup")), None)
    if controllers is None:
        return None
    root, mount = (_ESCAPED.sub(lambda found: chr(int(found[1], 8)), each) for each in before.split(" ")[3:5])
    path = Path(groups[controllers])
    # In a container the mount may begin at the group itself, or in another namespace than the process's.
    inside = path.relative_to(root) if path.is_relative_to(root) and ".." not in path.parts else Path()
    return ControlGroup(controllers, Path(mount) / inside, Path(mount))
