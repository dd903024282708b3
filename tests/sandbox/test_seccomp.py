"""The filter of system calls, asked as the kernel would ask it: what it refuses, and what it lets through."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crunch_game.sandbox import _seccomp as seccomp
from crunch_game.sandbox import _syscalls as syscalls
from crunch_game.sandbox._syscalls import Unavailable, machine, numbers


def verdict(code: bytes, arch: int, number: int, arguments: list[int]) -> int:
    """What a filter answers to a call, by the rules of classic BPF."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *arguments)
    instructions = list(struct.iter_unpack("HBBI", code))
    at, value = 0, 0
    while True:
        what, if_true, if_false, constant = instructions[at]
        at += 1
        match what:
            case 0x20:
                (value,) = struct.unpack_from("<I", data, constant)
            case 0x54:
                value &= constant
            case 0x05:
                at += constant
            case 0x06:
                return constant
            case _:
                truth = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[what]
                at += if_true if truth else if_false


@pytest.fixture(params=["x86_64", "aarch64"])
def arch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    def clear() -> None:
        for cached in (syscalls.machine, syscalls.numbers, seccomp.compiled):
            getattr(cached, "cache_clear", lambda: None)()

    clear()
    for module in (syscalls, seccomp):
        monkeypatch.setattr(module, "machine", lambda: request.param)
    yield {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[request.param]
    monkeypatch.undo()
    clear()


def test_the_filter_refuses_what_it_names_and_allows_the_rest(arch: int) -> None:
    code = seccomp.compiled(network=False, processes=False, memory=True, scoped=True)
    own = struct.unpack("I", struct.pack("I", 0x7FFFFFF7))[0]
    number, named = numbers(), set(numbers().values())
    allow, refused = 0x7FFF0000, 0x50001
    assert all(verdict(code, arch, each, [0] * 6) == allow for each in range(470) if each not in named)
    for name in (
        "ptrace", "socket", "execve", "bpf", "io_uring_setup", "mount", "unshare", "memfd_create", "setpgid", "setsid",
        "io_setup",
    ):  # fmt: skip
        assert verdict(code, arch, number[name], [0] * 6) == refused, name
    assert verdict(code, arch, number["clone3"], [0] * 6) == 0x50000 | errno.ENOSYS
    for name, arguments, answer in [
        ("clone", [0x3D0F00], allow), ("clone", [0x1200011], refused),
        ("kill", [own, 9], allow), ("kill", [1, 9], refused), ("kill", [2**32 - 1, 9], refused),
        ("kill", [0, 9], refused),
        ("kill", [2**32 + own, 9], allow),  # the kernel reads the low half too
        ("socketpair", [1, 1], allow), ("socketpair", [1, 1 | 0x80000], allow), ("socketpair", [1, 2], refused),
        ("socketpair", [30, 1], refused), ("fcntl", [3, 8], refused), ("fcntl", [3, 3], allow),
        ("ioctl", [3, 0x5401], allow), ("ioctl", [3, 2**32 + 0x5412], refused),
        ("mmap", [0, 1, 3, 0x22], allow), ("mmap", [0, 1, 3, 0x21], refused), ("mmap", [0, 1, 3, 0x122], refused),
        ("mmap", [0, 1, 3, 0x01], allow), ("prlimit64", [0], allow), ("prlimit64", [1], refused),
        ("setpriority", [0, 0], allow), ("setpriority", [0, 1], refused), ("setpriority", [1, 0], refused),
        ("fchmod", [3], 0x50000),
    ]:  # fmt: skip
        assert verdict(code, arch, number[name], [*arguments, *[0] * (6 - len(arguments))]) == answer, (name, arguments)


@given(number=st.integers(470, 2**32 - 1), arguments=st.lists(st.integers(0, 2**64 - 1), min_size=6, max_size=6))
def test_calls_that_nobody_knows_are_not_there(number: int, arguments: list[int]) -> None:
    try:
        arch = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine()]
    except Unavailable as error:
        pytest.skip(str(error))
    code = seccomp.compiled(network=True, processes=True, memory=False, scoped=True)
    assert verdict(code, arch, number, arguments) == 0x50000 | errno.ENOSYS
    assert verdict(code, arch ^ 1, number % 470, arguments) == 0x50000 | errno.ENOSYS


def test_the_numbers_are_those_of_the_kernels_headers() -> None:
    headers = [Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm/unistd_64.h")]
    found = next((header for header in headers if header.exists()), None)
    if found is None or os.uname().machine != "x86_64":
        pytest.skip("no headers of the kernel here")
    defined = dict(line.split()[1:3] for line in found.read_text().splitlines() if line.startswith("#define __NR_"))
    for name, number in numbers().items():
        assert int(defined.get(f"__NR_{name}", number)) == number, name
