"""What all tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

GAMES = Path(__file__).parent / "games"
"""Authors' modules that submissions import; the models' processes get the coordinator's sys.path."""

sys.path.insert(0, str(GAMES))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param
