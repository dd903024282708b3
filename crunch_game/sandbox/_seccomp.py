"""seccomp: restricts the system calls of a process by number and arguments, permanently.

Calls that are not named here stay allowed, since libraries need most of them. Calls that are newer than this module
fail with ENOSYS, as on an older kernel, so that libraries fall back.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from crunch_game.sandbox._syscalls import NEXT, Unavailable, call, machine, numbers, prctl

Instructions = list[tuple[int, int, int, int]]
"""Classic BPF: operation, jump if true, jump if false, constant."""

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
_SELF: Final = 0x7FFFFFF7
"""Stands for the process's own pid, which is filled in after the fork; no process has this one."""

_REFUSED: Final = (
    # other processes
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease", "pidfd_getfd", "kcmp",
    "migrate_pages", "move_pages",
    # namespaces and mounts
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "open_tree_attr", "move_mount",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "statmount", "listmount",
    # ways around this filter, and parts of the kernel that models do not need
    "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "perf_event_open", "userfaultfd", "keyctl",
    "add_key", "request_key", "personality", "modify_ldt", "lookup_dcookie", "uselib", "nfsservctl",
    # files without a path, and changes of files that Landlock does not restrict
    "open_by_handle_at", "name_to_handle_at", "fanotify_init", "fanotify_mark", "inotify_init", "inotify_init1",
    "inotify_add_watch", "chown", "fchown", "lchown", "fchownat", "file_setattr",
    # what outlives a process, is shared between processes, or counts against a limit of the whole machine
    "shmget", "semget", "msgget", "mq_open", "io_setup",
    # the machine
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "quotactl", "quotactl_fd",
    "reboot", "swapon", "swapoff", "acct", "syslog", "sethostname", "setdomainname", "settimeofday",
    "clock_settime", "clock_adjtime", "vhangup", "iopl", "ioperm", "sync", "syncfs",
)  # fmt: skip
# Landlock does not restrict these either, so they would reach every file of the same user. They have no effect but
# report success: libraries that copy or unpack files call them, and fail if they fail.
_IGNORED: Final = (
    "chmod", "fchmod", "fchmodat", "fchmodat2", "utime", "utimes", "futimesat", "utimensat",
)  # fmt: skip
_UNSUPPORTED: Final = (
    "setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat",
)  # fmt: skip
_SIGNALS: Final = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
_SERVE: Final = ("bind", "listen", "accept", "accept4")

_CLONE_THREAD: Final = 0x10000
_CLONE_ESCAPES: Final = 0x7E028000  # CLONE_NEW*, and CLONE_PARENT, which would make it a child of the fork server
_FCNTL: Final = (8, 15, 1024, 1026)  # F_SETOWN and F_SETOWN_EX signal others, F_SETLEASE and F_NOTIFY watch other files
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


def _answer(error: int | None = None) -> Instructions:
    """Allow the call, or make it fail with this errno. With 0 it has no effect but succeeds."""
    return [(_RETURN, 0, 0, _ALLOW if error is None else _ERRNO | error)]


_PASS: Final = _answer()
_FAIL: Final = _answer(errno.EPERM)


def _load(argument: int) -> Instructions:
    """Load the lower 32 bits of an argument, which are all the kernel reads of a pid, command, domain or flags."""
    return [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument)]


def _among(
    argument: int,
    values: Sequence[int],
    hit: Instructions = _PASS,
    miss: Instructions = _FAIL,
    *,
    mask: int | None = None,
) -> Instructions:
    """Continue with `hit` if the argument, as far as the mask goes, is one of the values; else with `miss`."""
    compare: Instructions = [(_EQUAL, len(values) - place, 0, value & 0xFFFFFFFF) for place, value in enumerate(values)]
    masked: Instructions = [] if mask is None else [(_AND, 0, 0, mask)]
    return [*_load(argument), *masked, *compare, *miss, *hit]


def _any_bit(argument: int, bits: int, hit: Instructions, miss: Instructions) -> Instructions:
    """Continue with `hit` if the argument has any of the bits; else with `miss`."""
    return [*_load(argument), (_ANY_BIT, len(miss), 0, bits), *miss, *hit]


def restrict(*, network: bool, processes: bool, memory: bool, scoped: bool) -> None:
    """Load the filter for every thread of this process, and for what they start.

    Args:
        network: Allow TCP and UDP sockets.
        processes: Allow to start processes, with groups and sessions of their own, and to execute programs.
        memory: Refuse memory that RLIMIT_DATA does not count.
        scoped: Landlock restricts signals to children, so that this filter can allow them.

    Raises:
        Unavailable: The kernel has no seccomp.
        OSError: The kernel has seccomp, but it failed.
    """
    check()
    code = compiled(network=network, processes=processes, memory=memory, scoped=scoped)
    own = code.replace(struct.pack("I", _SELF), struct.pack("I", os.getpid()))
    instructions = ctypes.create_string_buffer(own, len(own))
    header = struct.pack("HxxxxxxP", len(own) // 8, ctypes.addressof(instructions))  # struct sock_fprog
    call("seccomp", 1, 1, ctypes.create_string_buffer(header))  # SECCOMP_SET_MODE_FILTER, ..._FLAG_TSYNC


def check() -> None:
    """Raise Unavailable if the kernel has no seccomp, or this machine's system calls are not known."""
    try:
        prctl(21)  # PR_GET_SECCOMP
    except OSError:
        raise Unavailable("the kernel has no seccomp (CONFIG_SECCOMP_FILTER)") from None
    numbers()


@cache
def compiled(*, network: bool, processes: bool, memory: bool, scoped: bool) -> bytes:
    """Return the filter of `restrict`, with a placeholder for the pid.

    It is the same for all models, so that the fork server compiles it once.

    Raises:
        Unavailable: This machine's system calls are not known.
    """
    known = numbers()
    rules = _rules(network=network, processes=processes, memory=memory, scoped=scoped)
    code = program({known[name]: rule for name, rule in rules.items() if name in known})
    return b"".join(struct.pack("HBBI", *instruction) for instruction in code)


def program(rules: Mapping[int, Instructions]) -> Instructions:
    """Return the filter: a binary search over the call numbers, since every system call runs through it."""
    # Intervals of numbers with the same rule, so that the search tree has few leaves.
    bounds: list[tuple[int, Instructions]] = [(0, _PASS)]
    for number in sorted(rules):
        if bounds[-1][0] == number:
            bounds.pop()
        if not bounds or bounds[-1][1] != rules[number]:
            bounds.append((number, rules[number]))
        bounds.append((number + 1, _PASS))
    return [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, _AUDIT_ARCH[machine()]),
        *_answer(errno.ENOSYS),  # int 0x80 and the like have other numbers
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, NEXT),  # also x32 calls, which start at 0x40000000
        *_answer(errno.ENOSYS),
        *_tree(bounds),
    ]


def _tree(bounds: list[tuple[int, Instructions]]) -> Instructions:
    if len(bounds) == 1:
        return bounds[0][1]
    middle = len(bounds) // 2
    below, above = _tree(bounds[:middle]), _tree(bounds[middle:])
    # A conditional jump reaches only 255 instructions, so it jumps to an unconditional one.
    return [(_AT_LEAST, 0, 1, bounds[middle][0]), (_JUMP, 0, 0, len(below)), *below, *above]


def _rules(*, network: bool, processes: bool, memory: bool, scoped: bool) -> dict[str, Instructions]:
    refused = list(_REFUSED)
    rules = dict.fromkeys(_IGNORED, _answer(0)) | dict.fromkeys(_UNSUPPORTED, _answer(errno.ENOTSUP))
    # Setting the times to now fails: Path.touch() tries that first, and creates the file only if it fails.
    rules["utimensat"] = [*_load(2), (_EQUAL, 1, 0, 0), *_answer(0), *_FAIL]
    # The flags of clone3 are in memory, which a filter cannot read. Without clone3, glibc makes threads with clone.
    rules["clone3"] = _answer(errno.ENOSYS)
    rules["fcntl"] = _among(1, _FCNTL, _FAIL, _PASS)
    rules["ioctl"] = _among(1, _IOCTL, _FAIL, _PASS)
    scheduling = ("sched_setparam", "sched_setscheduler", "sched_setattr", "sched_setaffinity")
    rules |= dict.fromkeys(("prlimit64", *scheduling), _among(0, (0, _SELF)))
    rules["setpriority"] = _among(0, (0,), _among(1, (0, _SELF)))  # PRIO_PROCESS
    rules["ioprio_set"] = _among(0, (1,), _among(1, (0, _SELF)))  # IOPRIO_WHO_PROCESS
    # One socket of a datagram pair could be connected to any Unix socket that has a path.
    rules["socketpair"] = _among(0, (_UNIX,), _among(1, (_STREAM, _SEQPACKET), mask=0xF))
    if network:
        rules["socket"] = _among(0, (_INET, _INET6), _among(1, (_STREAM, _DATAGRAM), mask=0xF))
        refused += _SERVE
    else:
        refused += ("socket", "connect", *_SERVE)
    if processes:
        rules["clone"] = _any_bit(0, _CLONE_ESCAPES, _FAIL, _PASS)
    else:
        rules["clone"] = _any_bit(0, _CLONE_THREAD, _PASS, _FAIL)
        refused += ("fork", "vfork", "execve", "execveat", "setpgid", "setsid")
    if not (processes and scoped):
        rules |= dict.fromkeys(_SIGNALS, _among(0, (_SELF,)))
        refused += ("pidfd_open", "pidfd_send_signal")
    if memory:
        shared = _any_bit(3, _MAP_ANONYMOUS, _any_bit(3, _MAP_SHARED, _FAIL, _PASS), _PASS)
        rules["mmap"] = _any_bit(3, _MAP_GROWSDOWN, _FAIL, shared)
        refused += ("memfd_create", "memfd_secret")
    return rules | dict.fromkeys(refused, _FAIL)
