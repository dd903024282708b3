"""The paths that every model must be able to read: the interpreter, libraries, and some files of the system."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Final

from crunch_game.sandbox._cgroups import limit_files, own_groups

_LIBRARIES: Final = (
    "/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/local/lib",
    "/usr/local/lib64", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload",
)  # fmt: skip
_SYSTEM: Final = (
    "/etc/localtime", "/etc/timezone", "/etc/zoneinfo", "/usr/share/zoneinfo",
    "/etc/locale.alias", "/usr/share/locale", "/usr/share/i18n",
    "/etc/ssl/openssl.cnf", "/etc/ssl/certs", "/etc/pki/tls/openssl.cnf", "/etc/pki/tls/certs",
    "/etc/os-release", "/etc/mime.types",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/version", "/proc/filesystems",
    "/proc/uptime", "/proc/vmstat",
    "/proc/sys/vm/overcommit_memory", "/sys/kernel/mm/transparent_hugepage",
    "/sys/devices/system/cpu", "/sys/devices/system/node",
    "/dev/random", "/dev/urandom",
)  # fmt: skip
# What a process is told of itself, which libraries (psutil, OpenBLAS, joblib) ask for. /proc/self is another folder in
# every process, so these must be resolved after the fork.
_OWN: Final = tuple(
    f"/proc/self/{name}"
    for name in (
        "auxv", "cgroup", "cmdline", "comm", "fd", "io", "limits", "maps", "smaps", "smaps_rollup", "stat", "statm",
        "status",
    )
)  # fmt: skip
_NETWORK: Final = (
    "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
    "/etc/protocols", "/etc/pki/ca-trust", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
    "/run/systemd/resolve/resolv.conf", "/run/systemd/resolve/stub-resolv.conf",
)  # fmt: skip
_PROGRAMS: Final = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/etc/alternatives")


def readable(*, network: bool, processes: bool) -> tuple[str, ...]:
    """Return the paths, in the order in which a sandbox allows them."""
    return (*_installed(), *_share(), *_OWN, *(_NETWORK if network else ()), *(_PROGRAMS if processes else ()))


def without(roots: Sequence[str], submission_folders: Iterable[str]) -> tuple[list[str], list[str]]:
    """Leave folders of submissions out of the roots: each submission is only for its own model.

    A rule of Landlock covers everything beneath its path and has no exceptions, so a root with such a folder is
    replaced by its other entries. The root itself may still be listed, which imports need. Installed libraries are left
    as they are, even if submissions are beneath them: anyone may read those, and their modules import each other.

    Returns:
        The paths that may be read, and those that may only be listed.
    """
    left: list[str] = []
    listed: list[str] = []
    # This runs for every model, and there can be as many folders of submissions as models.
    near = [folder for folder in submission_folders if folder.startswith(tuple(roots))]
    for root in roots:
        inside = {folder for folder in near if _is_private(folder, root)} if root not in _libraries() else ()
        left += _other_entries(root, inside) if inside else [root]
        listed += [root] if inside else []
    return left, listed


def _is_private(folder: str, root: str) -> bool:
    """Whether a folder of submissions is beneath the root, and no package that all models read is beneath it."""
    inside = folder != root and is_beneath(folder, [root])
    return inside and not any(is_beneath(place, [folder]) for place in (*_libraries(), *_packages()))


def _other_entries(folder: str, private: Collection[str]) -> Iterator[str]:
    """Yield what is in a folder but the private folders. Links are left out: Landlock's rules follow them."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                continue
            # Beside submissions, only names that no roster takes for one may be read. __pycache__ is made from them.
            if folder in private and (not entry.name.startswith("_") or entry.name == "__pycache__"):
                continue
            if any(is_beneath(each, [entry.path]) for each in private):
                yield from _other_entries(entry.path, private)
            else:
                yield entry.path


@cache
def _installed() -> tuple[str, ...]:
    """Return what is the same for every model. The fork server computes it once, and forked models inherit it."""
    libraries = _libraries()
    roots = dict.fromkeys((*libraries, *(place for place in _packages() if not is_beneath(place, libraries))))
    return tuple(root for root in roots if not is_beneath(root, [other for other in roots if other != root]))


@cache
def _share() -> tuple[str, ...]:
    """The files that say how much of the machine a model may use: it is in the fork server's control groups."""
    return tuple(map(real, limit_files(own_groups())))


@cache
def _libraries() -> tuple[str, ...]:
    # /usr and the like are not the interpreter's alone; of those, _LIBRARIES has what is needed.
    shared = ("/", "/usr", "/usr/local", real(os.path.expanduser("~")))  # noqa: PTH111 - a user may have no home
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    own = sorted(prefix for prefix in prefixes if real(prefix) not in shared)
    own += [sys.executable or ""]
    own += [e for e in sys.path if Path(e).name in ("site-packages", "dist-packages") or Path(e).suffix == ".zip"]
    return tuple(real(root) for root in (*own, *_LIBRARIES, *_SYSTEM) if os.access(root, os.F_OK))


@cache
def _packages() -> tuple[str, ...]:
    """Return the folders of packages, and the files of modules, that are imported already.

    An entry of sys.path other than a library folder is the author's own: submissions, the store and keys may be in it,
    beside the game's package. So the entry is not readable, only what the fork server has imported from it.
    """
    places: list[str] = []
    for name in sorted({_top(name) for name in list(sys.modules)} - {""}):
        module = sys.modules[name]
        folders = [entry for entry in getattr(module, "__path__", ()) if isinstance(entry, str)]
        places += folders or [str(module.__file__)]
    return tuple(map(real, places))


def _top(name: str) -> str:
    """Return the outermost parent that has a file. Namespace packages have none: others may share their folders."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        outer = ".".join(parts[:end])
        if isinstance(getattr(sys.modules.get(outer), "__file__", None), str):
            return outer
    return ""


def unread_entries() -> list[str]:
    """Return the entries of sys.path that a model can read only in part."""
    return [entry for entry in sys.path if entry and not is_beneath(real(entry), _installed())]


def real(path: str | os.PathLike[str]) -> str:
    """Return the path as Landlock sees it: absolute, and without links."""
    return os.path.realpath(path)


def is_beneath(path: str, roots: Iterable[str]) -> bool:
    """Whether a real path is one of these real paths, or beneath one."""
    return any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots)
