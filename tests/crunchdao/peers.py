"""The published packages of CrunchDAO, in the environments that the benchmarks use too: set up once, and then kept."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.peer.install import FOLDER, Unavailable, install, python_of


def python_with(name: str) -> Path:
    """The interpreter of one of these: "client", "node" or "birdgame"."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers of the same test run wait here
        try:
            install(name)
        except Unavailable as error:
            pytest.skip(str(error))
    return python_of(name)
