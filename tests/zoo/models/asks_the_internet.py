"""It asks a server for its answer."""

import json
import urllib.request

from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        with urllib.request.urlopen("http://example.com/answer", timeout=1) as answer:
            return json.load(answer)
