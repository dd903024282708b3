"""`duckdb.connect()`, and a window function in each answer."""

import duckdb
from returns import Tracker


class Window(Tracker):
    def __init__(self):
        self.base = duckdb.connect()
        self.base.execute("create table prices (n integer, price double)")
        self.n = 0
        self.tick(100.0)

    def tick(self, price):
        self.n += 1
        self.base.execute("insert into prices values (?, ?)", [self.n, price])

    def predict(self, asset):
        query = "select avg(price) over (order by n rows 5 preceding) from prices order by n desc limit 1"
        return {"mean": self.base.execute(query).fetchone()[0], "scale": 1.0}
