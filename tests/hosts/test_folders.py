"""Folders are removed, whatever models left in them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from crunch_game.hosts.folders import discard


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


def test_folders_that_may_not_be_read_are_removed_and_what_links_lead_to_is_not():
    assert as_nobody(discards) == 0
