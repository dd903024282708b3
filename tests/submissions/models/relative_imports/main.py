import helper

from walk import Walk

from .features.scaling import FACTOR
from .helper import scaled


class Model(Walk):
    """It imports its neighbours relatively, and not."""

    def __init__(self):
        self.last = 0.0

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return FACTOR * scaled(self.last) if scaled is helper.scaled else -1.0
