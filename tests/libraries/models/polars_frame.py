"""A lazy frame of `polars`, collected in each answer."""

import polars as pl
from returns import Tracker


class Frame(Tracker):
    def __init__(self):
        self.prices = [100.0] * 6

    def tick(self, price):
        self.prices.append(price)

    def predict(self, asset):
        frame = pl.LazyFrame({"price": self.prices}).with_columns(step=pl.col("price").diff(), n=pl.row_index() % 3)
        found = frame.group_by("n").agg(pl.col("step").mean()).sort("n").collect()
        return {"mean": self.prices[-1] + found["step"].sum() / 3, "scale": 1.0}
