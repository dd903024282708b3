"""The published packages of CrunchDAO, in the environments that the benchmarks use too: set up once, and then kept."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.peer.install import CLIENT, FOLDER, NODE, Unavailable, install


def node_python() -> Path:
    """The interpreter that has crunch-model-runner."""
    _set_up()
    return NODE


def client_python() -> Path:
    """The interpreter that has model-runner-client."""
    _set_up()
    return CLIENT


def _set_up() -> None:
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # other workers of the same test run wait here
        try:
            install()
        except Unavailable as error:
            pytest.skip(str(error))
