"""The system calls that Python has no function for: their numbers, and how to make them."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from functools import cache
from typing import Any, Final

NEXT: Final = 470
"""No number below it is unknown here: the first that Linux 6.18 does not have."""

# x86-64's (arch/x86/entry/syscalls/syscall_64.tbl), then aarch64's (include/uapi/asm-generic/unistd.h); -1 is none.
# fmt: off
_NUMBERS: Final = {
    "accept": (43, 202), "accept4": (288, 242), "acct": (163, 89), "add_key": (248, 217), "bind": (49, 200),
    "bpf": (321, 280), "chmod": (90, -1), "chown": (92, -1), "chroot": (161, 51),
    "clock_adjtime": (305, 266), "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435),
    "connect": (42, 203), "delete_module": (176, 106), "execve": (59, 221), "execveat": (322, 281),
    "fanotify_init": (300, 262), "fanotify_mark": (301, 263), "fchmod": (91, 52), "fchmodat": (268, 53),
    "fchmodat2": (452, 452), "fchown": (93, 55), "fchownat": (260, 54), "fcntl": (72, 25),
    "file_setattr": (469, 469), "finit_module": (313, 273), "fork": (57, -1), "fremovexattr": (199, 16),
    "fsconfig": (431, 431), "fsetxattr": (190, 7), "fsmount": (432, 432), "fsopen": (430, 430), "fspick": (433, 433),
    "futimesat": (261, -1), "init_module": (175, 105), "inotify_add_watch": (254, 27), "inotify_init": (253, -1),
    "inotify_init1": (294, 26), "io_setup": (206, 0), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425), "ioctl": (16, 29), "ioperm": (173, -1), "iopl": (172, -1), "ioprio_set": (251, 30),
    "kcmp": (312, 272), "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219),
    "kill": (62, 129), "landlock_add_rule": (445, 445), "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446), "lchown": (94, -1), "listen": (50, 201), "listmount": (458, 458),
    "lookup_dcookie": (212, 18), "lremovexattr": (198, 15), "lsetxattr": (189, 6), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "migrate_pages": (256, 238), "mmap": (9, 222), "modify_ldt": (154, -1),
    "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429), "move_pages": (279, 239),
    "mq_open": (240, 180), "msgget": (68, 186), "name_to_handle_at": (303, 264), "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265), "open_tree": (428, 428), "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241), "personality": (135, 92), "pidfd_getfd": (438, 438), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pivot_root": (155, 41), "prlimit64": (302, 261),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "reboot": (169, 142), "removexattr": (197, 14), "removexattrat": (466, 466), "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "seccomp": (317, 277), "semget": (64, 190), "setdomainname": (171, 162), "sethostname": (170, 161),
    "setns": (308, 268), "setpgid": (109, 154), "setpriority": (141, 140), "setsid": (112, 157),
    "settimeofday": (164, 170), "setxattr": (188, 5), "setxattrat": (463, 463), "shmget": (29, 194),
    "socket": (41, 198), "socketpair": (53, 199),
    "statmount": (457, 457), "swapoff": (168, 225), "swapon": (167, 224), "sync": (162, 81), "syncfs": (306, 267),
    "syslog": (103, 116), "tgkill": (234, 131), "tkill": (200, 130), "umount2": (166, 39), "unshare": (272, 97),
    "uselib": (134, -1), "userfaultfd": (323, 282), "utime": (132, -1), "utimensat": (280, 88), "utimes": (235, -1),
    "vfork": (58, -1), "vhangup": (153, 58),
}
# fmt: on


class Unavailable(Exception):
    """This machine lacks a mechanism; the message says why."""


@cache
def machine() -> str:
    """Return the machine whose call numbers this process uses: "x86_64" or "aarch64".

    Raises:
        Unavailable: It is another one, or not Linux.
    """
    if not sys.platform.startswith("linux"):
        raise Unavailable(f"{sys.platform} has no such thing; it needs Linux")
    name = os.uname().machine
    if name not in ("x86_64", "aarch64") or struct.calcsize("P") != 8 or sys.byteorder != "little":
        raise Unavailable(f"the system calls of this machine ({name}, {sys.byteorder} endian) are not known")
    return name


@cache
def numbers() -> dict[str, int]:
    """Return the numbers of the system calls of `machine` by name."""
    column = ("x86_64", "aarch64").index(machine())
    return {name: both[column] for name, both in _NUMBERS.items() if both[column] >= 0}


def call(name: str, *arguments: Any) -> int:
    """Make a system call.

    Raises:
        OSError: It failed; the message names the call.
    """
    # ctypes would pass an int as 32 bits, but the kernel reads 64.
    longs = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    return _checked(name, _libc().syscall(ctypes.c_long(numbers()[name]), *longs))


def function(name: str, *arguments: Any) -> int:
    """Call a function of the C library that Python does not wrap.

    Raises:
        Unavailable: The library lacks it.
        OSError: It failed.
    """
    if not hasattr(_libc(), name):
        raise Unavailable(f"{sys.platform} has no {name}")
    return _checked(name, getattr(_libc(), name)(*arguments))


def prctl(option: int, *arguments: int) -> int:
    """Call the C library's prctl, which is `Unavailable` where this is not Linux."""
    return function("prctl", option, *map(ctypes.c_ulong, (*arguments, 0, 0, 0, 0)[:4]))


def _checked(name: str, result: int) -> int:
    if result == -1:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
