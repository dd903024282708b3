import sqlite3
from contextlib import closing
from pathlib import Path

from walk import Walk

with closing(sqlite3.connect(Path(__file__).parent / "weights.db")) as db:
    [FACTOR] = db.execute("SELECT factor FROM weights").fetchone()


class Model(Walk):
    """Weights in a database."""

    def __init__(self):
        self.last = 0.0

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return self.last * FACTOR
