import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from tools import scaled
from walk import Walk


class Model(Walk):
    """It is also run as `python main.py`."""

    def tick(self, prices):
        self.last = prices["BTC"]

    def predict(self, asset, horizon):
        return scaled(self.last)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("history")
    print(parser.parse_args())
