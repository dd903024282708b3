import sqlite3
from contextlib import closing

with closing(sqlite3.connect("weights.db")) as db, db:
    db.execute("CREATE TABLE weights (factor REAL)")
    db.execute("INSERT INTO weights VALUES (18)")
