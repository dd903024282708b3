"""What every model must be able to read: the interpreter, the libraries, and the little they ask of the system."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

__all__ = ["is_beneath", "readable", "real", "unread_entries", "without"]

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
    "/proc/sys/vm/overcommit_memory", "/sys/kernel/mm/transparent_hugepage",
    "/sys/devices/system/cpu", "/sys/devices/system/node",
    "/dev/random", "/dev/urandom",
)  # fmt: skip
# Of the process itself: /proc/self is another folder in every process, so these are looked up after the fork.
_OWN: Final = tuple(f"/proc/self/{name}" for name in ("cgroup", "limits", "maps", "stat", "statm", "status"))
_NETWORK: Final = (
    "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
    "/etc/protocols", "/etc/pki/ca-trust", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
    "/run/systemd/resolve/resolv.conf", "/run/systemd/resolve/stub-resolv.conf",
)  # fmt: skip
_PROGRAMS: Final = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/etc/alternatives")


def readable(*, network: bool, processes: bool) -> tuple[str, ...]:
    """The paths, in the order in which a sandbox allows them."""
    return (*_installed(), *_OWN, *(_NETWORK if network else ()), *(_PROGRAMS if processes else ()))


def without(roots: Sequence[str], shelves: Iterable[str]) -> tuple[list[str], list[str]]:
    """Leave shelves out of the roots: the folders in which submissions lie side by side, each for its model alone.

    What is installed stays as it is: everyone may have it, and its modules import each other. A rule of Landlock holds
    for all that is beneath its path, so a root with a shelf becomes what it holds beside.
    Imports need to list folders: such a root may still be listed, all beneath it too.

    Returns:
        What may be read as a whole, and what may be listed only.
    """
    left: list[str] = []
    listed: list[str] = []
    # Every model pays for this, and there may be as many shelves as models.
    near = [shelf for shelf in shelves if shelf.startswith(tuple(roots))]
    for root in roots:
        inside = {shelf for shelf in near if _is_shelf(shelf, root)} if root not in _libraries() else ()
        left += _beside(root, inside) if inside else [root]
        listed += [root] if inside else []
    return left, listed


def _is_shelf(folder: str, root: str) -> bool:
    """Whether a folder in the root holds nothing but submissions, and no package that all must read."""
    inside = folder != root and is_beneath(folder, [root])
    return inside and not any(is_beneath(place, [folder]) for place in (*_libraries(), *_packages()))


def _beside(folder: str, shelves: Collection[str]) -> Iterator[str]:
    """What a folder holds beside the shelves. Links are nothing of their own: rules are about where they lead."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink() or (folder in shelves and not _is_common(entry.name)):
                continue
            if any(is_beneath(shelf, [entry.path]) for shelf in shelves):
                yield from _beside(entry.path, shelves)
            else:
                yield entry.path


def _is_common(name: str) -> bool:
    """Whether what lies on a shelf by this name is no submission to any roster, nor made from one."""
    return name.startswith("_") and name != "__pycache__"


@cache
def _installed() -> tuple[str, ...]:
    """What is the same for every model. Asked for in the fork server, it costs the models nothing."""
    roots = dict.fromkeys(_libraries())
    for place in _packages():
        if not is_beneath(place, roots):
            roots[place] = None
    return tuple(root for root in roots if not is_beneath(root, [other for other in roots if other != root]))


@cache
def _libraries() -> tuple[str, ...]:
    return tuple(real(root) for root in (*_interpreter(), *_LIBRARIES, *_SYSTEM) if os.access(root, os.F_OK))


@cache
def _packages() -> tuple[str, ...]:
    return tuple(map(real, _loaded()))


def _interpreter() -> Iterator[str]:
    prefixes = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}
    yield from sorted(prefix for prefix in prefixes if _is_own(prefix))
    if sys.executable:
        yield sys.executable
    for entry in sys.path:
        if Path(entry).name in ("site-packages", "dist-packages") or Path(entry).suffix == ".zip":
            yield entry


def _is_own(prefix: str) -> bool:
    """Whether a prefix is the interpreter's alone, and not the whole machine's, which /usr/lib and the like cover."""
    return real(prefix) not in ("/", "/usr", "/usr/local", real(os.path.expanduser("~")))  # noqa: PTH111 - may have no home


def _loaded() -> Iterator[str]:
    """The packages and modules that are imported already, each as a whole.

    An entry of sys.path that is no library folder is the author's own: submissions, the store and keys may lie in
    it, beside the game's package. So not the entry is allowed, but what the fork server has imported from it.
    """
    tops = {_top(name) for name in list(sys.modules)} - {""}
    for top in sorted(tops):
        yield from _places(sys.modules[top])


def _top(name: str) -> str:
    """The outermost parent that is a package of its own, and not just a folder that packages share."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        outer = ".".join(parts[:end])
        if isinstance(getattr(sys.modules.get(outer), "__file__", None), str):
            return outer
    return ""


def _places(module: Any) -> Iterable[str]:
    path = [entry for entry in getattr(module, "__path__", ()) if isinstance(entry, str)]
    return path or [module.__file__]


def unread_entries() -> list[str]:
    """The entries of sys.path that a model cannot read as a whole."""
    return [entry for entry in sys.path if entry and not is_beneath(real(entry), _installed())]


def real(path: str | os.PathLike[str]) -> str:
    """The path as the kernel decides about it: absolute, and without links."""
    return os.path.realpath(path)


def is_beneath(path: str, roots: Iterable[str]) -> bool:
    """Whether a real path is one of these real paths, or beneath one."""
    return any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots)
