"""Models that answer with everything that they were told, in its order."""

from __future__ import annotations

import os
from pathlib import Path


class Diary:
    def tick(self, data: dict[str, float]) -> None: ...

    def predict(self) -> list[float]: ...


class Keeper(Diary):
    def __init__(self):
        self.told = []

    def tick(self, data):
        self.told.append(data["n"])

    def predict(self):
        return self.told


class Other(Keeper):
    pass


class DiesOnce(Keeper):
    """Its process ends at the fifth row, the first time that it hears it."""

    def tick(self, data):
        if data["n"] == 5 and not Path(os.environ["DIED"]).exists():
            Path(os.environ["DIED"]).touch()
            os._exit(1)
        super().tick(data)
