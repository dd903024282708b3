"""The units and the container file of `examples/deploy`: their commands are ours, and systemd can read them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from crunch_game.cli._app import command_of

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
PROGRAM = Path(sys.executable).parent / "crunch-game"


def service(unit: Path) -> dict[str, str]:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)
    return dict(parser["Service"])


def commands() -> list[list[str]]:
    """The arguments of `crunch-game` in all of the files."""
    found = [shlex.split(service(unit)["ExecStart"])[1:] for unit in UNITS]
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n#", "")
    return found + [shlex.split(line) for line in re.findall(r"^# docker run .* mygame +(\S.*)$", text, re.MULTILINE)]


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_their_commands_and_options_are_there(arguments: list[str]) -> None:
    name, *rest = arguments
    command_of(name).make_context(name, rest)  # raises for an option that there is not, and for an argument too many


def test_there_is_one_unit_for_each_worker_and_wrong_usage_is_not_tried_again() -> None:
    assert [unit.name for unit in UNITS] == ["crunch-game-predict.service", "crunch-game-score.service"]
    assert {service(unit)["RestartPreventExitStatus"] for unit in UNITS} == {"2"}
    assert {name for name, *_ in commands()} == {"predict", "score", "doctor"}


@pytest.mark.processes
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/mygame/bin/crunch-game", str(PROGRAM)))
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")


INSIDE = """
set -e
mount -t tmpfs none /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
mount -t proc proc /mnt/root/proc
mount --rbind /dev /mnt/root/dev
mkdir -p /mnt/root/var/lib/mygame
chown 10001:10001 /mnt/root/var/lib/mygame
for folder in $PARENTS; do chmod o+x "/mnt/root$folder"; done  # on the overlay: an image has no closed folders
cd /mnt/root/var/lib/mygame
exec chroot --userspec=10001:10001 /mnt/root env HOME=/var/lib/mygame "$@"
"""


@pytest.mark.processes
@pytest.mark.slow
def test_a_game_is_played_in_a_containers_file_system_by_a_user_of_its_own(tmp_path: Path) -> None:
    """An overlay as root, process ids and a network of its own, and nobody's privileges: what a container has."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root may make a container's file system, with unshare")
    store = "sqlite:////var/lib/mygame/game.db"
    played = [str(PROGRAM), "demo", "--max-ticks", "20", "--store", store, "--json"]
    script = f"cd /var/lib/mygame && {shlex.join(played)} > played.json && {PROGRAM} model momentum --store {store}"
    spaces = ["--mount", "--pid", "--fork", "--net", "--ipc", "--uts"]
    parents = {str(each) for path in (PROGRAM, Path(sys.executable).resolve()) for each in path.parents}
    ended = subprocess.run(
        ["unshare", *spaces, "sh", "-c", INSIDE, "sh", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"PARENTS": " ".join(sorted(parents))},
    )
    if "overlay" in ended.stderr:
        pytest.skip(f"there is no overlay to be mounted here: {ended.stderr.strip()}")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("momentum is ready\n")
    assert not Path("/var/lib/mygame").exists(), "all of it was inside"
