"""seccomp: which system calls a process may still make, decided by number and arguments, for good.

What is not named here stays allowed, so that libraries run as ever; calls newer than this file are as if the kernel
had none, and libraries fall back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

from crunch_game.hosts.syscalls import NEXT, Unavailable, call, machine, numbers, prctl

__all__ = ["compiled", "program", "restrict"]

Code = list[tuple[int, int, int, int]]
"""Instructions of classic BPF: code, jump if true, jump if false, constant."""

_LOAD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K
_JUMP: Final = 0x05  # BPF_JMP | BPF_JA
_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_NUMBER: Final = 0  # struct seccomp_data: nr, arch, instruction_pointer, args[6]
_ARCH: Final = 4
_ARGUMENTS: Final = 16
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SELF: Final = 0x7FFFFFF7  # stands for the process's own number until that is known; no process has it

_REFUSED: Final = (
    # other processes
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "pidfd_getfd", "kcmp",
    "migrate_pages", "move_pages",
    # namespaces and mounts
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "statmount", "listmount",
    # ways around this filter, and parts of the kernel that a model has no use for
    "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open", "userfaultfd", "keyctl",
    "add_key", "request_key", "personality", "modify_ldt", "lookup_dcookie", "uselib", "nfsservctl",
    # files that no path leads to, or that Landlock does not watch
    "open_by_handle_at", "name_to_handle_at", "fanotify_init", "fanotify_mark", "inotify_init", "inotify_init1",
    "inotify_add_watch", "chown", "fchown", "lchown", "fchownat", "file_setattr",
    # what outlives a process, stands between processes, or is taken from what the whole machine may have
    "shmget", "semget", "msgget", "mq_open", "io_setup",
    # the machine
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "quotactl", "quotactl_fd",
    "reboot", "swapon", "swapoff", "acct", "syslog", "sethostname", "setdomainname", "settimeofday",
    "clock_settime", "clock_adjtime", "vhangup", "iopl", "ioperm", "sync", "syncfs",
)  # fmt: skip
# Landlock does not watch these either, and they reach every file of the same user. They change nothing, and say that
# they did: whoever copies or unpacks files calls them, and cannot do without.
_IGNORED: Final = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "utime", "utimes", "futimesat", "utimensat",
)  # fmt: skip
_UNSUPPORTED: Final = (
    "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat",
)  # fmt: skip
_SIGNALS: Final = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
_SERVE: Final = ("bind", "listen", "accept", "accept4")

_CLONE_THREAD: Final = 0x10000
_CLONE_AWAY: Final = 0x7E028000  # CLONE_NEW*, and CLONE_PARENT: it would be a child of the fork server
_FCNTL: Final = (8, 15, 1024, 1026)  # F_SETOWN and F_SETOWN_EX signal others, F_SETLEASE and F_NOTIFY watch files
_IOCTL: Final = (
    0x8901, 0x8902,  # FIOSETOWN, SIOCSPGRP: as F_SETOWN
    0x5412, 0x541C,  # TIOCSTI, TIOCLINUX: type into a terminal
    0x40086602, 0x401C5820, 0x40806685, 0x800C6613,  # FS_IOC_*: flags, attributes, verity, encryption
)  # fmt: skip
_MAP_SHARED: Final = 0x01
_MAP_ANONYMOUS: Final = 0x20
_MAP_GROWSDOWN: Final = 0x100
_UNIX, _INET, _INET6 = 1, 2, 10
_STREAM, _DATAGRAM, _SEQPACKET = 1, 2, 5


def restrict(*, network: bool, processes: bool, memory: bool, scoped: bool) -> None:
    """Load the filter for every thread of this process, and for what they start.

    Args:
        network: Sockets for TCP and UDP may be made.
        processes: Processes may be made, with groups and sessions of their own, and programs executed.
        memory: Refuse the ways to memory that RLIMIT_DATA does not count.
        scoped: Landlock keeps signals inside, so that a process may signal its children.

    Raises:
        Unavailable: The kernel has no seccomp.
        OSError: seccomp is there, and refused.
    """
    try:
        prctl(21)  # PR_GET_SECCOMP
    except OSError:
        raise Unavailable("the kernel has no seccomp (CONFIG_SECCOMP_FILTER)") from None
    code = compiled(network=network, processes=processes, memory=memory, scoped=scoped)
    own = code.replace(struct.pack("I", _SELF), struct.pack("I", os.getpid()))
    instructions = ctypes.create_string_buffer(own, len(own))
    header = struct.pack("HxxxxxxP", len(own) // 8, ctypes.addressof(instructions))  # struct sock_fprog
    call("seccomp", 1, 1, ctypes.create_string_buffer(header))  # SECCOMP_SET_MODE_FILTER, ..._FLAG_TSYNC


@cache
def compiled(*, network: bool, processes: bool, memory: bool, scoped: bool) -> bytes:
    """The filter of `restrict` for any process.

    Raises:
        Unavailable: The machine is not known.
    """
    known = numbers()
    rules = _rules(network=network, processes=processes, memory=memory, scoped=scoped)
    code = program({known[name]: rule for name, rule in rules.items() if name in known})
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def program(rules: Mapping[int, Code]) -> Code:
    """The whole filter: a search tree over the numbers, so that a call costs a handful of comparisons."""
    bounds: list[tuple[int, Code]] = [(0, _answer())]
    for number in sorted(rules):
        if bounds[-1][0] == number:
            bounds.pop()
        if not bounds or bounds[-1][1] != rules[number]:
            bounds.append((number, rules[number]))
        bounds.append((number + 1, _answer()))
    return [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _AUDIT_ARCH[machine()]),
        *_answer(errno.ENOSYS),  # int 0x80 and its like: another table of numbers
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, NEXT),  # x32 calls too: they start at 0x40000000
        *_answer(errno.ENOSYS),
        *_tree(bounds),
    ]


def _tree(bounds: list[tuple[int, Code]]) -> Code:
    if len(bounds) == 1:
        return bounds[0][1]
    middle = len(bounds) // 2
    below, above = _tree(bounds[:middle]), _tree(bounds[middle:])
    # The jumps of a comparison reach 255 instructions, a plain one any number.
    return [(_AT_LEAST, 0, 1, bounds[middle][0]), (_JUMP, 0, 0, len(below)), *below, *above]


def _rules(*, network: bool, processes: bool, memory: bool, scoped: bool) -> dict[str, Code]:
    refused = list(_REFUSED)
    rules = {name: _answer(0) for name in _IGNORED} | {name: _answer(errno.ENOTSUP) for name in _UNSUPPORTED}
    # "Set the times to now" is how a file is touched, and made if that fails: it must fail, or there would be none.
    rules["utimensat"] = [*_load(2), (_EQUAL, 1, 0, 0), *_answer(0), *_answer(errno.EPERM)]
    # glibc makes threads with clone when there is no clone3, whose flags lie in memory where no filter can see them.
    rules["clone3"] = _answer(errno.ENOSYS)
    rules["fcntl"] = _among(1, _FCNTL, refuse=True)
    rules["ioctl"] = _among(1, _IOCTL, refuse=True)
    rules |= dict.fromkeys(
        ("prlimit64", "sched_setparam", "sched_setscheduler", "sched_setattr"), _among(0, (0, _SELF))
    )
    rules["sched_setaffinity"] = _among(0, (0, _SELF))
    rules["setpriority"] = _first_is(0, _among(1, (0, _SELF)))  # PRIO_PROCESS
    rules["ioprio_set"] = _first_is(1, _among(1, (0, _SELF)))  # IOPRIO_WHO_PROCESS
    # A datagram pair could be connected anew, to any socket that has a path.
    rules["socketpair"] = _first_is(_UNIX, _among(1, (_STREAM, _SEQPACKET), mask=0xF))
    if network:
        rules["socket"] = _among(0, (_INET, _INET6), then=_among(1, (_STREAM, _DATAGRAM), mask=0xF))
        refused += _SERVE
    else:
        refused += ("socket", "connect", *_SERVE)
    if processes:
        rules["clone"] = _bits(0, _CLONE_AWAY, refuse=True)
    else:
        rules["clone"] = _bits(0, _CLONE_THREAD, refuse=False)
        refused += ("fork", "vfork", "execve", "execveat", "setpgid", "setsid")
    if not (processes and scoped):
        rules |= dict.fromkeys(_SIGNALS, _among(0, (_SELF,)))
        refused += ("pidfd_open", "pidfd_send_signal")
    if memory:
        shared = _bits(3, _MAP_ANONYMOUS, refuse=True, then=_bits(3, _MAP_SHARED, refuse=True))
        rules["mmap"] = _bits(3, _MAP_GROWSDOWN, refuse=True, otherwise=shared)
        refused += ("memfd_create", "memfd_secret")
    return rules | {name: _answer(errno.EPERM) for name in refused}


def _answer(error: int | None = None) -> Code:
    """Let the call through, or end it with this errno; 0 is success without doing anything."""
    return [(_RETURN, 0, 0, _ALLOW if error is None else _ERRNO | error)]


def _load(argument: int) -> Code:
    """The low half of an argument: what the kernel reads of a pid, a command, a domain or flags."""
    return [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument)]


def _among(
    argument: int, values: Iterable[int], *, mask: int | None = None, refuse: bool = False, then: Code | None = None
) -> Code:
    """Allow the call (or go on with `then`) if the argument is one of these; `refuse` turns it round."""
    listed = list(values)
    compare: Code = [(_EQUAL, len(listed) - place, 0, value & 0xFFFFFFFF) for place, value in enumerate(listed)]
    masked: Code = [] if mask is None else [(_AND, 0, 0, mask)]
    hit, miss = (_answer(errno.EPERM), _answer()) if refuse else (then or _answer(), _answer(errno.EPERM))
    return _load(argument) + masked + compare + miss + hit


def _first_is(value: int, then: Code) -> Code:
    return _among(0, (value,), then=then)


def _bits(argument: int, bits: int, *, refuse: bool, then: Code | None = None, otherwise: Code | None = None) -> Code:
    """Refuse (or else allow) the call if the argument has any of the bits, unless `then` and `otherwise` decide."""
    hit = then or _answer(errno.EPERM if refuse else None)
    miss = otherwise or _answer(None if refuse else errno.EPERM)
    return [*_load(argument), (_ANY_BIT, len(miss), 0, bits), *miss, *hit]
