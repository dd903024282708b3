"""It opens a socket."""

import socket

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        with socket.create_connection(("127.0.0.1", 9), timeout=1):
            return {"mean": 0.0, "scale": 1.0}
