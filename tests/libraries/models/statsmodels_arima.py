"""`ARIMA(...).fit()` once, and `append` in each tick."""

import numpy as np
from returns import Tracker
from statsmodels.tsa.arima.model import ARIMA


class Arima(Tracker):
    def __init__(self):
        steps = np.random.default_rng(8).normal(size=200)
        self.fitted = ARIMA(100 + steps.cumsum(), order=(1, 1, 0)).fit()

    def tick(self, price):
        self.fitted = self.fitted.append([price])

    def predict(self, asset):
        forecast = self.fitted.get_forecast()
        return {"mean": forecast.predicted_mean[0], "scale": forecast.se_mean[0]}
