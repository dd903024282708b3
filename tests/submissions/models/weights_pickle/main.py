import pickle
from pathlib import Path

from walk import Walk

WEIGHTS = Path(__file__).parent / "weights.pkl"


class Scaler:
    def __init__(self, factor):
        self.factor = factor


class Model(Walk):
    """Its weights are pickled by running it, so that their class is `__main__.Scaler`."""

    def __init__(self):
        self.last = 0.0
        with WEIGHTS.open("rb") as file:
            self.scaler = pickle.load(file)

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return self.last * self.scaler.factor


if __name__ == "__main__":
    WEIGHTS.write_bytes(pickle.dumps(Scaler(17)))
