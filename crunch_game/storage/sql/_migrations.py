"""What brings the tables of an earlier version up to this one. Whoever changes `_tables` appends to these.

Once released, a migration is never changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_FROM_1 = (
    # How rows arrived. A table's primary key cannot be changed, so they move to a new one.
    "ALTER TABLE rows RENAME TO rows_1",
    "CREATE TABLE rows (number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, time BIGINT NOT NULL,"
    " arrived BIGINT NOT NULL, session INTEGER, aside TEXT, data TEXT, UNIQUE (time, arrived))",
    "INSERT INTO rows (time, arrived, data) SELECT time, -9223372036854775808, data FROM rows_1 ORDER BY rowid",
    "DROP TABLE rows_1",
    # Columns that may be NULL are added to millions of predictions without writing one of them.
    "ALTER TABLE predictions ADD COLUMN asked_at BIGINT",
    "ALTER TABLE predictions ADD COLUMN seen BIGINT",
    "CREATE TABLE sessions (number INTEGER NOT NULL, started BIGINT NOT NULL, heartbeat BIGINT NOT NULL,"
    " committed BIGINT, PRIMARY KEY (number))",
    "CREATE TABLE leases (kind VARCHAR NOT NULL, token VARCHAR NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL,"
    " since BIGINT NOT NULL, beat BIGINT NOT NULL, process VARCHAR, PRIMARY KEY (kind))",
)

_FROM_2 = (
    "ALTER TABLE predictions ADD COLUMN excused INTEGER",
    "CREATE INDEX excused_predictions ON predictions (resolves_at) WHERE excused = 1",
    "ALTER TABLE scores ADD COLUMN kind VARCHAR",
    "ALTER TABLE scores ADD COLUMN metrics TEXT",
    'CREATE TABLE rounds (at BIGINT NOT NULL, "key" VARCHAR NOT NULL, resolves_at BIGINT NOT NULL,'
    ' horizon FLOAT NOT NULL, arguments TEXT, answers INTEGER NOT NULL, facts TEXT, PRIMARY KEY (at, "key"))',
    "CREATE INDEX ix_rounds_resolves_at ON rounds (resolves_at)",
    'CREATE INDEX rounds_of_key ON rounds ("key", resolves_at, at)',
    # SQLite takes the other columns from the row with the least model id.
    "INSERT INTO rounds SELECT at, key, resolves_at, horizon, arguments, answers, NULL FROM ("
    "SELECT p.at, p.key, p.resolves_at, p.horizon, p.arguments, count(*) AS answers, min(p.model_id)"
    " FROM predictions p JOIN scores s ON s.at = p.at AND s.key = p.key AND s.model_id = p.model_id"
    " WHERE s.value IS NOT NULL GROUP BY p.at, p.key)",
    'CREATE TABLE first_answers (model_id VARCHAR NOT NULL, "key" VARCHAR NOT NULL, at BIGINT NOT NULL,'
    ' PRIMARY KEY (model_id, "key"))',
    "INSERT INTO first_answers SELECT model_id, key, min(at) FROM predictions"
    " WHERE status = 'ok' AND value IS NOT NULL"
    " GROUP BY model_id, key",
)

_FROM_3 = (
    'CREATE TABLE known_rounds (resolves_at BIGINT NOT NULL, at BIGINT NOT NULL, "key" VARCHAR NOT NULL,'
    ' PRIMARY KEY (resolves_at, at, "key"))',
    'INSERT INTO known_rounds SELECT resolves_at, at, "key" FROM predictions'
    ' UNION SELECT resolves_at, at, "key" FROM scores',
    "CREATE INDEX unanswered_predictions ON predictions (resolves_at) WHERE status != 'ok'",
    "CREATE INDEX scores_without_value ON scores (resolves_at) WHERE value IS NULL",
)

# What happened: events in their order, faults of calls, and deployments.
_LOG = (
    "CREATE TABLE events ({number}, moment BIGINT NOT NULL, writer {name} NOT NULL, kind {name} NOT NULL,"
    " text TEXT NOT NULL, model_id {name}, seen BIGINT, details TEXT{key}, UNIQUE (moment, writer))",
    "CREATE INDEX seldom_events ON events (number) WHERE (kind NOT IN ('TickPlayed', 'RoundPlayed'))",
    "CREATE INDEX seldom_moments ON events (moment) WHERE (kind NOT IN ('TickPlayed', 'RoundPlayed'))",
    "CREATE INDEX events_of_model ON events (model_id, number) WHERE model_id IS NOT NULL",
    'CREATE TABLE faults (at BIGINT NOT NULL, "key" {name} NOT NULL, model_id {name} NOT NULL,'
    " deployment_id VARCHAR NOT NULL, status VARCHAR NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL,"
    ' traceback TEXT, stdout TEXT, stderr TEXT, exit BIGINT, PRIMARY KEY (at, "key", model_id))',
    'CREATE INDEX faults_of_model ON faults (model_id, at, "key")',
    "CREATE TABLE deployments (model_id {name} NOT NULL, deployment_id {name} NOT NULL, joined BIGINT NOT NULL,"
    " ready BIGINT, ended BIGINT, state VARCHAR NOT NULL, reason TEXT, restarts INTEGER NOT NULL, strikes TEXT,"
    " PRIMARY KEY (model_id, deployment_id, joined))",
)


# What is corrected, what that replaced, and boards as they were published.
_CORRECTIONS = (
    "ALTER TABLE rounds ADD COLUMN void TEXT",
    "CREATE TABLE corrections ({number}, moment BIGINT NOT NULL, writer {name} NOT NULL, verb {name} NOT NULL,"
    ' "by" TEXT NOT NULL, reason TEXT NOT NULL, model_id {name}, "key" {name}, since BIGINT, until BIGINT{key},'
    " UNIQUE (moment, writer))",
    'CREATE TABLE former_scores (number BIGINT NOT NULL, at BIGINT NOT NULL, "key" {name} NOT NULL,'
    " model_id {name} NOT NULL, resolves_at BIGINT NOT NULL, existed INTEGER NOT NULL, value FLOAT, outcome TEXT,"
    ' reason TEXT, kind VARCHAR, metrics TEXT, PRIMARY KEY (number, at, "key", model_id))',
    "CREATE INDEX ix_former_scores_resolves_at ON former_scores (resolves_at)",
    'CREATE INDEX former_scores_of_model ON former_scores (model_id, number, at, "key")',
    "CREATE TABLE published (moment BIGINT NOT NULL, board {name} NOT NULL, at BIGINT NOT NULL,"
    " document TEXT NOT NULL, correction BIGINT NOT NULL, PRIMARY KEY (moment, board))",
    "CREATE INDEX published_of_time ON published (at, moment)",
)


def _in(statements: Sequence[str], words: Mapping[str, str]) -> tuple[str, ...]:
    """Return statements in the words of a database."""
    return tuple(statement.format(**words) for statement in statements)


_SQLITE = {"number": "number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", "key": "", "name": "VARCHAR"}
_POSTGRESQL = {
    "number": "number BIGSERIAL NOT NULL",
    "key": ", PRIMARY KEY (number)",
    "name": 'VARCHAR COLLATE "C"',
}

SQLITE = {1: _FROM_1, 2: _FROM_2, 3: _FROM_3, 4: _in(_LOG, _SQLITE), 5: _in(_CORRECTIONS, _SQLITE)}
"""By the version that they lead on from."""
POSTGRESQL = {4: _in(_LOG, _POSTGRESQL), 5: _in(_CORRECTIONS, _POSTGRESQL)}
"""Its first version is 4."""

VERSION = max(SQLITE) + 1
"""The schema that this version of crunch_game reads and writes, in every database."""
