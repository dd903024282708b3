"""Folders are removed, whatever models left in them."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from crunch_game import ModelRunner, Policy, ProcessHost, TrackerBase
from crunch_game.hosts._folders import discard


def as_nobody(action: Callable[[], None]) -> int:
    """The exit code of a process that does this without root's right to read whatever there is."""
    pid = os.fork()
    if not pid:
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def discards() -> None:
    home = Path(tempfile.mkdtemp())
    kept = Path(tempfile.mkdtemp())
    (kept / "file").touch()
    kept.chmod(0o500)
    for name, mode in (("locked", 0o000), ("write_only", 0o300), ("read_only", 0o500)):
        (home / name / "within").mkdir(parents=True)
        (home / name / "within" / "file").touch()
        (home / name / "within").chmod(mode)
        (home / name).chmod(mode)
    (home / "link").symlink_to(kept)
    (home / "hangs").symlink_to("nowhere")
    home.chmod(0o000)
    discard(home)
    assert not home.exists()
    assert (kept / "file").exists()
    assert kept.stat().st_mode & 0o777 == 0o500
    kept.chmod(0o700)
    discard(kept)
    discard(home)


@pytest.mark.processes
def test_folders_that_may_not_be_read_are_removed_and_what_links_lead_to_is_not():
    assert as_nobody(discards) == 0


def dig(folder: Path, depth: int) -> None:
    """Folders in one another, made as whoever wants to do harm makes them."""
    above = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=above)
        below = os.open("d", os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=above))
    os.close(above)


def test_folders_in_one_another_are_removed_however_deep(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    dig(home, 1_500)  # more than a stack has frames, or a process descriptors
    discard(home)
    assert not home.exists()


def test_a_folder_is_removed_whatever_lies_in_it_under_whatever_name(tmp_path):
    home, kept = tmp_path / "home", tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    for name in ("a", "b", ".0", "new\nline", "-rf", "s" * 255, os.fsdecode(b"\xff\xfe")):
        (home / name / name).mkdir(parents=True)
        (home / name / "file").touch()
        (home / name / "link").symlink_to(kept)
        (home / name / name / "up").symlink_to("..")
    for number in range(1_000):
        (home / "a" / f"{number}").touch()
    os.mkfifo(home / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(home / "socket"))
    os.link(kept / "file", home / "hard")
    discard(home)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (kept / "file").exists()


def test_what_took_a_folders_place_is_left_alone(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o500)
    (tmp_path / "link").symlink_to(kept)
    discard(tmp_path / "link")
    discard(tmp_path / "nothing")
    assert kept.stat().st_mode & 0o777 == 0o500


DIGS = """
import os
from crunch_game import TrackerBase


class Digs(TrackerBase):
    def predict(self):
        os.chdir(os.environ["TMPDIR"])
        for _ in range(1_200):
            os.mkdir("d")
            os.chdir("d")
        return os.environ["TMPDIR"]
"""


@pytest.mark.processes
@pytest.mark.anyio
async def test_a_model_that_digs_deep_ends_no_game(tmp_path):
    for name, text in {"digs": DIGS, "plays": DIGS.replace("1_200", "0")}.items():
        (tmp_path / f"{name}.py").write_text(text)
    host = ProcessHost()
    async with ModelRunner(TrackerBase, tmp_path, host=host, policy=Policy(timeout=30), ready_timeout=30) as runner:
        assert (await runner.predict())["digs"].value
        await runner.stop("digs", "enough")
        await runner.readmit("digs")
        assert (await runner.predict())["plays"].value
    assert not host._folder.exists()
