"""What every model reads, and what is left out of it: the folders that submissions lie in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from crunch_game.sandbox._cgroups import ControlGroup, limit_files, own_groups
from crunch_game.sandbox._readable import without


@pytest.fixture
def game(tmp_path: Path) -> Path:
    game = (tmp_path / "game").resolve()
    for file in ("base.py", "data/prices.csv", "play/models/alice.py", "play/models/_common.py", "play/rules.py"):
        (game / file).parent.mkdir(parents=True, exist_ok=True)
        (game / file).touch()
    (game / "latest").symlink_to(game / "play" / "models")
    (game / "play" / "models" / "_link").symlink_to(game / "play" / "models" / "alice.py")
    return game


def test_a_root_becomes_what_it_holds_beside_the_submissions(game: Path) -> None:
    left, listed = without(["/lib", str(game)], [str(game / "play" / "models"), "/elsewhere"])
    beside = {game / name for name in ("base.py", "data", "play/rules.py", "play/models/_common.py")}
    assert set(left) == {"/lib", *map(str, beside)}
    assert listed == [str(game)]


def test_where_no_submissions_lie_the_roots_stay_as_they_are(game: Path) -> None:
    for shelf in (game, game.parent, Path("/elsewhere"), game.with_name("game-models")):
        assert without(["/lib", str(game)], [str(shelf)]) == (["/lib", str(game)], [])


def test_a_folder_that_holds_a_package_too_is_read_as_ever() -> None:
    prefix, libraries = str(Path(sys.prefix).resolve()), str(Path(pytest.__file__).resolve().parent.parent)
    assert without([prefix, libraries], [libraries]) == ([prefix, libraries], [])


def test_what_is_installed_is_read_as_a_whole_though_submissions_lie_in_it() -> None:
    libraries = Path(pytest.__file__).resolve().parent.parent
    installed = str(libraries / "_pytest" / "assertion")
    assert without([str(libraries)], [installed]) == ([str(libraries)], [])


# ---- its share of the machine ---------------------------------------------------------------------------------------


def process(folder: Path, cgroup: str, mountinfo: str) -> Path:
    """A folder of /proc, as kernels write it."""
    (folder / "cgroup").write_text(cgroup)
    (folder / "mountinfo").write_text(mountinfo.format(folder=folder))
    return folder


GROUPS = {
    "version 2, in a namespace of its own": (
        "0::/\n",
        "30 24 0:26 / {folder}/cg rw,nosuid - cgroup2 cgroup rw,nsdelegate\n",
        [("", "cg", "cg")],
    ),
    "version 2, of a service": (
        "0::/system.slice/game.service\n",
        "29 23 8:1 / / rw - ext4 /dev/root rw\n30 24 0:26 / {folder}/cg rw shared:4 - cgroup2 cgroup2 rw\n",
        [("", "cg/system.slice/game.service", "cg")],
    ),
    "version 1, in a container that sees its own group alone": (
        "5:cpu,cpuacct:/docker/4f\n4:memory:/docker/4f\n1:name=systemd:/docker/4f\n0::/\n",
        "31 30 0:27 /docker/4f {folder}/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
        "32 30 0:28 /docker {folder}/memory ro master:9 - cgroup cgroup rw,memory\n"
        "33 30 0:29 /docker/4f {folder}/systemd ro - cgroup cgroup rw,xattr,name=systemd\n",
        [
            ("cpu,cpuacct", "cpu,cpuacct", "cpu,cpuacct"),
            ("memory", "memory/4f", "memory"),
            ("name=systemd", "systemd", "systemd"),
        ],
    ),
    "both": (
        "3:cpuset:/a b\n0::/user\n",
        "31 30 0:27 / {folder}/a\\040b rw - cgroup cgroup rw,cpuset\n"
        "32 30 0:28 / {folder}/unified rw - cgroup2 none rw\n",
        [("cpuset", "a b/a b", "a b"), ("", "unified/user", "unified")],
    ),
    "a group outside of what is mounted": (
        "0::/../elsewhere\n",
        "30 24 0:26 / {folder}/cg rw - cgroup2 cgroup2 rw\n",
        [("", "cg", "cg")],
    ),
    "none": ("", "29 23 8:1 / / rw - ext4 /dev/root rw\n", []),
}  # fmt: skip


@pytest.mark.parametrize(("cgroup", "mountinfo", "expected"), GROUPS.values(), ids=GROUPS)
def test_a_process_finds_its_control_groups_wherever_they_are_mounted(
    tmp_path: Path, cgroup: str, mountinfo: str, expected: list[tuple[str, str, str]]
) -> None:
    assert own_groups(process(tmp_path, cgroup, mountinfo)) == [
        ControlGroup(frozenset(filter(None, controllers.split(","))), tmp_path / folder, tmp_path / mount)
        for controllers, folder, mount in expected
    ]


def test_where_there_is_no_proc_there_are_no_control_groups(tmp_path: Path) -> None:
    assert own_groups(tmp_path / "nowhere") == []


def test_what_limits_a_group_and_those_around_it_can_be_read_and_nothing_else(tmp_path: Path) -> None:
    files = {
        "v2/cpu.max", "v2/cgroup.procs", "v2/game/cpu.max", "v2/game/memory.max", "v2/game/memory.current",
        "v2/game/own/memory.max", "v2/game/rival/memory.max", "v1/cpu.cfs_quota_us", "v1/cpu.stat", "v1/memory.max",
        "v1/own/cpu.cfs_period_us",
    }  # fmt: skip
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    second = ControlGroup(frozenset(), tmp_path / "v2" / "game" / "own", tmp_path / "v2")
    first = ControlGroup(frozenset({"cpu", "cpuacct"}), tmp_path / "v1" / "own", tmp_path / "v1")
    assert sorted(limit_files([second, first])) == sorted(
        str(tmp_path / file)
        for file in (
            "v2/cpu.max", "v2/game/cpu.max", "v2/game/memory.max", "v2/game/own/memory.max", "v1/cpu.cfs_quota_us",
            "v1/own/cpu.cfs_period_us",
        )
    )  # fmt: skip
