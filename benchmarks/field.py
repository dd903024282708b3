"""The games and the submissions that all sides play: the same tracker, the same four floats, the same answers.

Standard library only: peers use it too. Their base class is the same without annotations, since they check nothing.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

__all__ = ["PRICES", "Kind", "field", "floats", "frame"]

Kind = Literal["density", "floats", "frame"]

PRICES = {"BTC": 63_012.5, "ETH": 3_001.25, "SOL": 145.0, "XAU": 2_400.0}
ASKED = ("BTC", 3600, 3600)

GAMES: dict[Kind, str] = {
    "density": """
from crunch_game.scoring import Density

class TrackerBase:
    def tick(self, data: dict[str, float]) -> None: ...
    def predict(self, asset: str, horizon: int, step: int) -> list[Density]: ...
""",
    "floats": """
class TrackerBase:
    def tick(self, data: list[float]) -> None: ...
    def total(self) -> float: ...
""",
    "frame": """
import pandas

class TrackerBase:
    def tick(self, data: pandas.DataFrame) -> None: ...
    def total(self) -> float: ...
""",
}
BARE = "class TrackerBase: ...\n"

_ADDS_UP = """
import numpy
from bench_game import TrackerBase

class Model(TrackerBase):
    def tick(self, data):
        self.data = data

    def total(self):
        return float(numpy.asarray(self.data).sum())
"""
MODELS: dict[Kind, str] = {
    "density": """
import numpy
from bench_game import TrackerBase

class Model(TrackerBase):
    def tick(self, data):
        self.data = data

    def predict(self, asset, horizon, step):
        return [{"type": "builtin", "name": "norm", "params": {"loc": 0.0, "scale": self.data[asset] / 1e6}}]
""",
    "floats": _ADDS_UP,
    "frame": _ADDS_UP,
}


@contextmanager
def field(kind: Kind, count: int) -> Iterator[Path]:
    """A folder of so many submissions to `bench_game`, which can be imported meanwhile."""
    with TemporaryDirectory() as folder:
        models = Path(folder, "models")
        models.mkdir()
        Path(folder, "bench_game.py").write_text(GAMES[kind])
        for index in range(count):
            (models / f"model_{index}.py").write_text(MODELS[kind])
        sys.path.insert(0, folder)
        try:
            yield models
        finally:
            sys.path.remove(folder)
            sys.modules.pop("bench_game", None)


def floats(count: int) -> list[float]:
    """Numbers with all their digits, as prices have them."""
    numbers = random.Random(7)
    return [numbers.lognormvariate(4.0, 1.0) for _ in range(count)]


def frame(rows: int) -> "pandas.DataFrame":  # type: ignore[name-defined]  # noqa: F821, UP037 - peers may lack it
    """A table of five columns of such numbers."""
    import pandas

    return pandas.DataFrame({name: floats(rows) for name in ("open", "high", "low", "close", "volume")})
