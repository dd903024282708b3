"""It answers with a table."""

import pandas as pd
from returns import Tracker


class Model(Tracker):
    def predict(self, asset):
        return pd.DataFrame({"mean": [0.0], "scale": [1.0]})
