"""The published packages of CrunchDAO, in the environments that the benchmarks use too: set up once, and then kept."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.peer.install import Unavailable, install, python_of


def python_with(name: str) -> Path:
    """The interpreter of one of these: "client", "node" or "birdgame"."""
    try:
        install(name)
    except Unavailable as error:
        pytest.skip(str(error))
    return python_of(name)
