"""What the kernel's Landlock is asked for, by the versions of its ABI; what then holds is in `test_sandbox.py`."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from pathlib import Path

import pytest

from crunch_game.sandbox import _landlock as landlock
from crunch_game.sandbox._syscalls import Unavailable

READ_DIR, READ, FILES_OF_VERSION_1 = 1 << 3, 0b1100, 0x1FFF


class Kernel:
    """Takes the calls, and keeps what they were about."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.ruleset: tuple[int, int, int] = (0, 0, 0)
        self.rules: dict[str, int] = {}
        self.flags: int | None = None

    def call(self, name: str, *arguments) -> int:
        match name, arguments:
            case "landlock_create_ruleset", (None, 0, 1):
                return self.version
            case "landlock_create_ruleset", (attributes, 24, 0):
                self.ruleset = struct.unpack("QQQ", ctypes.string_at(attributes, 24))
                return os.open(os.devnull, os.O_RDONLY)
            case "landlock_add_rule", (_, 1, rule, 0):
                rights, parent = struct.unpack("=Qi", ctypes.string_at(rule, 12))
                self.rules[str(Path(f"/proc/self/fd/{parent}").readlink())] = rights
            case "landlock_restrict_self", (_, flags):
                self.flags = flags
            case _:
                raise AssertionError((name, arguments))
        return 0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch):
    """A kernel of this version, or one that refuses with this error."""

    def make(version: int, error: int = 0) -> Kernel:
        def refuse(*_) -> int:
            raise OSError(error, os.strerror(error))

        made = Kernel(version)
        monkeypatch.setattr(landlock, "call", refuse if error else made.call)
        landlock.abi.cache_clear()
        return made

    yield make
    landlock.abi.cache_clear()


def test_each_version_is_asked_for_what_it_has_and_for_no_more(kernel):
    asked = {}
    for version in range(1, 11):
        there = kernel(version)
        landlock.restrict([], [], [], network=False, execute=False)
        asked[version] = (*there.ruleset, there.flags)

    assert asked[1] == (FILES_OF_VERSION_1, 0, 0, 0)
    assert asked[3] == (0x7FFF, 0, 0, 0)
    assert asked[4] == (0x7FFF, 0b11, 0, 0), "TCP"
    assert asked[6] == (0xFFFF, 0b11, 0b11, 0), "signals and abstract sockets stay inside"
    assert asked[7] == (0xFFFF, 0b11, 0b11, 1), "and refusals are not logged"
    assert asked[10] == (0x1FFFF, 0b1111, 0b11, 1), "UDP"


def test_a_network_is_left_alone_where_the_game_has_one(kernel):
    there = kernel(10)
    landlock.restrict([], [], [], network=True, execute=False)
    assert there.ruleset[1] == 0


def test_paths_get_the_rights_of_their_list_and_files_those_of_files(kernel, tmp_path):
    there = kernel(1)
    for name in ("read", "written", "listed"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    landlock.restrict(
        [str(tmp_path / "read"), str(tmp_path / "file"), str(tmp_path / "not there")],
        [str(tmp_path / "written")],
        [str(tmp_path / "listed")],
        network=False,
        execute=False,
    )

    rules = {Path(path).name: rights for path, rights in there.rules.items()}
    assert rules.keys() == {"read", "file", "written", "listed"}, "what is not there is passed over"
    assert (rules["read"], rules["file"], rules["listed"]) == (READ, READ & ~READ_DIR, READ_DIR)
    assert rules["written"] & READ == READ
    assert not rules["written"] & 0b1, "a model executes nothing that it has written"


def test_programs_may_be_executed_where_the_game_says_so(kernel, tmp_path):
    there = kernel(1)
    landlock.restrict([str(tmp_path)], [], [], network=False, execute=True)
    assert set(there.rules.values()) == {READ | 0b1}


def test_a_kernel_without_it_says_what_is_missing(kernel):
    for error, sentence in {
        errno.ENOSYS: "the kernel has no Landlock (Linux 5.13 and later have it)",
        errno.EOPNOTSUPP: "the kernel's Landlock is switched off; add landlock to the lsm= of its command line",
        errno.EPERM: "Landlock is refused here (Operation not permitted)",
    }.items():
        kernel(0, error)
        with pytest.raises(Unavailable) as caught:
            landlock.abi()
        assert str(caught.value) == sentence
        assert not landlock.scopes()
