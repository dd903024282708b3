"""An `InferenceSession` of a network in a file beside it."""

from pathlib import Path

import numpy as np
import onnxruntime
from returns import Tracker


class Session(Tracker):
    def __init__(self):
        self.session = onnxruntime.InferenceSession(Path(__file__).with_name("network.onnx"))
        self.prices = [100.0] * 6

    def tick(self, price):
        self.prices.append(price)

    def predict(self, asset):
        steps = np.diff(self.prices[-6:]).astype(np.float32)
        [answer] = self.session.run(None, {self.session.get_inputs()[0].name: steps.reshape(1, -1)})
        return {"mean": answer.ravel()[0], "scale": 1.0}
