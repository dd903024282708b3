import logging

from walk import Walk

logging.basicConfig(filename="model.log", level=logging.INFO, force=True)


class Model(Walk):
    """It logs to a file, where it works."""

    def __init__(self):
        self.last = 0.0

    def tick(self, prices):
        self.last = prices["BTC"]
        logging.info("told %s", prices)

    def predict(self, asset, horizon):
        return self.last * 20
