CREATE TABLE first_answers (
	model_id VARCHAR COLLATE "C" NOT NULL,
	key VARCHAR COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (model_id, key)
);
CREATE TABLE first_rounds (
	model_id VARCHAR COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (model_id)
);
CREATE TABLE known_rounds (
	resolves_at BIGINT NOT NULL,
	at BIGINT NOT NULL,
	key VARCHAR COLLATE "C" NOT NULL,
	PRIMARY KEY (resolves_at, at, key)
);
CREATE TABLE last_rounds (
	key VARCHAR COLLATE "C" NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (key)
);
CREATE TABLE leases (
	kind VARCHAR COLLATE "C" NOT NULL,
	token VARCHAR NOT NULL,
	host TEXT NOT NULL,
	pid INTEGER NOT NULL,
	since BIGINT NOT NULL,
	beat BIGINT NOT NULL,
	process VARCHAR,
	PRIMARY KEY (kind)
);
CREATE TABLE models (
	model_id VARCHAR COLLATE "C" NOT NULL,
	name TEXT NOT NULL,
	deployment_id VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	reason TEXT,
	PRIMARY KEY (model_id)
);
CREATE TABLE notes (
	name VARCHAR COLLATE "C" NOT NULL,
	document TEXT NOT NULL,
	PRIMARY KEY (name)
);
CREATE TABLE predictions (
	at BIGINT NOT NULL,
	key VARCHAR COLLATE "C" NOT NULL,
	model_id VARCHAR COLLATE "C" NOT NULL,
	resolves_at BIGINT NOT NULL,
	deployment_id VARCHAR NOT NULL,
	horizon FLOAT NOT NULL,
	arguments TEXT,
	status VARCHAR NOT NULL,
	value TEXT,
	error TEXT,
	elapsed FLOAT NOT NULL,
	pending INTEGER NOT NULL,
	asked_at BIGINT,
	seen BIGINT,
	excused INTEGER,
	PRIMARY KEY (at, key, model_id)
);
CREATE INDEX excused_predictions ON predictions (resolves_at) WHERE excused = 1;
CREATE INDEX ix_predictions_resolves_at ON predictions (resolves_at);
CREATE INDEX pending_predictions ON predictions (resolves_at) WHERE pending = 1;
CREATE INDEX unanswered_predictions ON predictions (resolves_at) WHERE status != 'ok';
CREATE TABLE rounds (
	at BIGINT NOT NULL,
	key VARCHAR COLLATE "C" NOT NULL,
	resolves_at BIGINT NOT NULL,
	horizon FLOAT NOT NULL,
	arguments TEXT,
	answers INTEGER NOT NULL,
	facts TEXT,
	PRIMARY KEY (at, key)
);
CREATE INDEX ix_rounds_resolves_at ON rounds (resolves_at);
CREATE INDEX rounds_of_key ON rounds (key, resolves_at, at);
CREATE TABLE rows (
	number BIGSERIAL NOT NULL,
	time BIGINT NOT NULL,
	arrived BIGINT NOT NULL,
	session INTEGER,
	aside TEXT,
	data TEXT,
	PRIMARY KEY (number),
	UNIQUE (time, arrived)
);
CREATE TABLE schema_version (
	version SERIAL NOT NULL,
	PRIMARY KEY (version)
);
CREATE TABLE scores (
	at BIGINT NOT NULL,
	key VARCHAR COLLATE "C" NOT NULL,
	model_id VARCHAR COLLATE "C" NOT NULL,
	resolves_at BIGINT NOT NULL,
	value FLOAT,
	outcome TEXT,
	reason TEXT,
	kind VARCHAR,
	metrics TEXT,
	PRIMARY KEY (at, key, model_id)
);
CREATE INDEX ix_scores_resolves_at ON scores (resolves_at);
CREATE INDEX scores_without_value ON scores (resolves_at) WHERE value IS NULL;
CREATE TABLE sessions (
	number INTEGER NOT NULL,
	started BIGINT NOT NULL,
	heartbeat BIGINT NOT NULL,
	committed BIGINT,
	PRIMARY KEY (number)
);
CREATE TABLE events (number BIGSERIAL NOT NULL, moment BIGINT NOT NULL, writer VARCHAR COLLATE "C" NOT NULL, kind VARCHAR COLLATE "C" NOT NULL, text TEXT NOT NULL, model_id VARCHAR COLLATE "C", seen BIGINT, details TEXT, PRIMARY KEY (number), UNIQUE (moment, writer));
CREATE INDEX seldom_events ON events (number) WHERE (kind NOT IN ('TickPlayed', 'RoundPlayed'));
CREATE INDEX seldom_moments ON events (moment) WHERE (kind NOT IN ('TickPlayed', 'RoundPlayed'));
CREATE INDEX events_of_model ON events (model_id, number) WHERE model_id IS NOT NULL;
CREATE TABLE faults (at BIGINT NOT NULL, "key" VARCHAR COLLATE "C" NOT NULL, model_id VARCHAR COLLATE "C" NOT NULL, deployment_id VARCHAR NOT NULL, status VARCHAR NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, traceback TEXT, stdout TEXT, stderr TEXT, exit BIGINT, PRIMARY KEY (at, "key", model_id));
CREATE INDEX faults_of_model ON faults (model_id, at, "key");
CREATE TABLE deployments (model_id VARCHAR COLLATE "C" NOT NULL, deployment_id VARCHAR COLLATE "C" NOT NULL, joined BIGINT NOT NULL, ready BIGINT, ended BIGINT, state VARCHAR NOT NULL, reason TEXT, restarts INTEGER NOT NULL, strikes TEXT, PRIMARY KEY (model_id, deployment_id, joined));
INSERT INTO schema_version VALUES (5);
INSERT INTO "models" VALUES('ada','Ada','d1','ready',NULL);
INSERT INTO "models" VALUES('bob','Bob','d1','stopped','three timeouts');
INSERT INTO "notes" VALUES('game','{"name":"walk"}');
INSERT INTO "notes" VALUES('leaderboard','{"game":"walk","at":"2024-01-01T00:02:01.005000+00:00","rank_by":"recent","leaderboard":[]}');
INSERT INTO "deployments" VALUES('ada','d1',1704067200000000,1704067200000000,NULL,'ready',NULL,0,NULL);
INSERT INTO "events" VALUES(1,1704067200000000,'w','ModelJoined','ada joined','ada',NULL,'{}');
INSERT INTO "faults" VALUES(1704067261004321,'BTC','bob','d1','timeout','timeout','no answer within 1 s',NULL,NULL,NULL,NULL);
CREATE VIEW readable_rows AS SELECT number, to_char(timestamp '1970-01-01' + time * interval '1 microsecond', 'YYYY-MM-DD HH24:MI:SS.US') AS time, CASE WHEN arrived > -9223372036854775808 THEN to_char(timestamp '1970-01-01' + arrived * interval '1 microsecond', 'YYYY-MM-DD HH24:MI:SS.US') END AS arrived, session, aside, data FROM rows;
CREATE VIEW readable_predictions AS SELECT to_char(timestamp '1970-01-01' + p.at * interval '1 microsecond', 'YYYY-MM-DD HH24:MI:SS.US') AS at, p.key, p.model_id, to_char(timestamp '1970-01-01' + p.resolves_at * interval '1 microsecond', 'YYYY-MM-DD HH24:MI:SS.US') AS resolves_at, to_char(timestamp '1970-01-01' + p.asked_at * interval '1 microsecond', 'YYYY-MM-DD HH24:MI:SS.US') AS asked_at, to_char(timestamp '1970-01-01' + p.seen * interval '1 microsecond', 'YYYY-MM-DD HH24:MI:SS.US') AS seen, p.status, p.value AS answer, p.error, s.value AS score, s.outcome, s.reason FROM predictions p LEFT JOIN scores s ON s.at = p.at AND s.key = p.key AND s.model_id = p.model_id;
