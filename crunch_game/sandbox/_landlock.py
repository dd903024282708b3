"""Landlock: restricts by path what a process can open, permanently, and without privileges."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable
from functools import cache
from typing import Final

from crunch_game.sandbox._syscalls import Unavailable, call

_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_MAKE_CHAR: Final = 1 << 6
_MAKE_SOCK: Final = 1 << 9
_MAKE_BLOCK: Final = 1 << 11
_TRUNCATE: Final = 1 << 14
_IOCTL_DEV: Final = 1 << 15
_RESOLVE_UNIX: Final = 1 << 16

_ALL: Final = (1 << 17) - 1
_READ: Final = _READ_FILE | _READ_DIR
_WRITE: Final = _ALL & ~(_EXECUTE | _MAKE_CHAR | _MAKE_BLOCK | _MAKE_SOCK | _RESOLVE_UNIX)
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

# The rights that each version of the ABI added: (version, rights).
_FILES: Final = ((1, 0x1FFF), (2, 1 << 13), (3, _TRUNCATE), (5, _IOCTL_DEV), (9, _RESOLVE_UNIX))
_NETWORK: Final = ((4, 0b11), (10, 0b1100))  # bind and connect: TCP, UDP
_SCOPES: Final = ((6, 0b11),)  # abstract Unix sockets, signals

_GET_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_LOG_NOTHING: Final = 1  # LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF: refusals must not flood the machine's audit log


@cache
def abi() -> int:
    """Return the version of the kernel's Landlock.

    Raises:
        Unavailable: The kernel has none, or refuses it to this process.
    """
    try:
        return call("landlock_create_ruleset", None, 0, _GET_VERSION)
    except OSError as error:
        why = {
            errno.ENOSYS: "the kernel has no Landlock (Linux 5.13 and later have it)",
            errno.EOPNOTSUPP: "the kernel's Landlock is switched off; add landlock to the lsm= of its command line",
        }
        raise Unavailable(why.get(error.errno or 0, f"Landlock is refused here ({error.strerror})")) from None


def scopes() -> bool:
    """Whether a restricted process can signal only itself and its children."""
    try:
        return abi() >= 6
    except Unavailable:
        return False


def restrict(
    readable: Iterable[str], writable: Iterable[str], listed: Iterable[str], *, network: bool, execute: bool
) -> None:
    """Allow this thread, and what it starts, to open only these paths and what is beneath them.

    Paths that do not exist are ignored.

    Args:
        readable: May be read and listed, and with `execute` executed.
        writable: May also be changed in every way.
        listed: May only be listed.
        network: Allow TCP and UDP, which are otherwise refused by kernels that can.
        execute: Allow to execute programs.

    Raises:
        Unavailable: The kernel has no Landlock.
        OSError: The kernel has Landlock, but it failed.
    """
    version = abi()
    files = _supported(_FILES, version)
    sockets, scoped = 0 if network else _supported(_NETWORK, version), _supported(_SCOPES, version)
    ruleset = struct.pack("=QQQ", files, sockets, scoped)  # struct landlock_ruleset_attr
    read = _READ | (_EXECUTE if execute else 0)
    descriptor = call("landlock_create_ruleset", ruleset, len(ruleset), 0)
    try:
        for paths, rights in ((readable, read), (writable, read | _WRITE), (listed, _READ_DIR)):
            for path in paths:
                _allow(descriptor, path, rights & files)
        call("landlock_restrict_self", descriptor, _LOG_NOTHING if version >= 7 else 0)
    finally:
        os.close(descriptor)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            # The kernel refuses rights of folders in a rule for a file.
            rights &= _OF_FILES
        beneath = struct.pack("=Qi", rights, parent)  # struct landlock_path_beneath_attr
        call("landlock_add_rule", ruleset, _PATH_BENEATH, beneath, 0)
    finally:
        # A rule is for an inode. procfs makes another one for a name that the kernel's cache has dropped, unless
        # somebody has it open; so these stay open.
        if not path.startswith("/proc/"):
            os.close(parent)


def _supported(rights: Iterable[tuple[int, int]], version: int) -> int:
    return sum(bits for since, bits in rights if since <= version)
