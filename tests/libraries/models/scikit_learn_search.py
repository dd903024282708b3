"""`GridSearchCV(n_jobs=2)`, and `joblib.Parallel(n_jobs=2)` in each answer."""

import numpy as np
from joblib import Parallel, delayed
from returns import Tracker
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV


class Search(Tracker):
    def __init__(self):
        steps = np.random.default_rng(2).normal(size=(200, 5))
        search = GridSearchCV(Ridge(), {"alpha": [0.1, 1.0, 10.0]}, n_jobs=2)
        self.model = search.fit(steps, steps.sum(axis=1)).best_estimator_
        self.prices = [100.0] * 6

    def tick(self, price):
        self.prices.append(price)

    def predict(self, asset):
        steps = np.diff(self.prices[-6:])
        low, high = Parallel(n_jobs=2)(delayed(np.quantile)(steps, share) for share in (0.25, 0.75))
        return {"mean": self.model.predict([steps])[0], "scale": 1.0 + high - low}
