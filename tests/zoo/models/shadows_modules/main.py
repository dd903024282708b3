"""Modules of its own are called as those that the runner needs."""

import json
import random
import struct

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        import socket

        return {"mean": json.ZERO + random.ZERO, "scale": struct.ONE * socket.ONE}
