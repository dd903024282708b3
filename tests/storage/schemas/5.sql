BEGIN TRANSACTION;
CREATE TABLE deployments (model_id VARCHAR NOT NULL, deployment_id VARCHAR NOT NULL, joined BIGINT NOT NULL, ready BIGINT, ended BIGINT, state VARCHAR NOT NULL, reason TEXT, restarts INTEGER NOT NULL, strikes TEXT, PRIMARY KEY (model_id, deployment_id, joined));
INSERT INTO "deployments" VALUES('ada','d1',1704067200000000,1704067200000000,NULL,'ready',NULL,0,NULL);
CREATE TABLE events (number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, moment BIGINT NOT NULL, writer VARCHAR NOT NULL, kind VARCHAR NOT NULL, text TEXT NOT NULL, model_id VARCHAR, seen BIGINT, details TEXT, UNIQUE (moment, writer));
INSERT INTO "events" VALUES(1,1704067200000000,'w','ModelJoined','ada joined','ada',NULL,'{}');
CREATE TABLE faults (at BIGINT NOT NULL, "key" VARCHAR NOT NULL, model_id VARCHAR NOT NULL, deployment_id VARCHAR NOT NULL, status VARCHAR NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, traceback TEXT, stdout TEXT, stderr TEXT, exit BIGINT, PRIMARY KEY (at, "key", model_id));
INSERT INTO "faults" VALUES(1704067261004321,'BTC','bob','d1','timeout','timeout','no answer within 1 s',NULL,NULL,NULL,NULL);
CREATE TABLE first_answers (model_id VARCHAR NOT NULL, "key" VARCHAR NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (model_id, "key"));
INSERT INTO "first_answers" VALUES('ada','BTC',1704067261004321);
INSERT INTO "first_answers" VALUES('ada','ETH',1704067261004321);
CREATE TABLE first_rounds (
	model_id VARCHAR NOT NULL, 
	at BIGINT NOT NULL, 
	PRIMARY KEY (model_id)
);
INSERT INTO "first_rounds" VALUES('ada',1704067261004321);
INSERT INTO "first_rounds" VALUES('bob',1704067261004321);
CREATE TABLE known_rounds (resolves_at BIGINT NOT NULL, at BIGINT NOT NULL, "key" VARCHAR NOT NULL, PRIMARY KEY (resolves_at, at, "key"));
INSERT INTO "known_rounds" VALUES(1704067321004321,1704067261004321,'BTC');
INSERT INTO "known_rounds" VALUES(1704067321004321,1704067261004321,'ETH');
INSERT INTO "known_rounds" VALUES(1704067381004321,1704067321004321,'BTC');
CREATE TABLE last_rounds (
	"key" VARCHAR NOT NULL, 
	at BIGINT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "last_rounds" VALUES('BTC',1704067321004321);
INSERT INTO "last_rounds" VALUES('ETH',1704067261004321);
CREATE TABLE leases (
	kind VARCHAR NOT NULL, 
	token VARCHAR NOT NULL, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	since BIGINT NOT NULL, 
	beat BIGINT NOT NULL, 
	process VARCHAR, 
	PRIMARY KEY (kind)
);
INSERT INTO "leases" VALUES('predict','t','machine',7,1704067200000000,1704067209000000,'boot 1');
CREATE TABLE models (
	model_id VARCHAR NOT NULL, 
	name TEXT NOT NULL, 
	deployment_id VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	reason TEXT, 
	PRIMARY KEY (model_id)
);
INSERT INTO "models" VALUES('ada','Ada','d1','ready',NULL);
INSERT INTO "models" VALUES('bob','Bob','d1','stopped','three timeouts');
CREATE TABLE notes (
	name VARCHAR NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "notes" VALUES('game','{"name":"walk"}');
INSERT INTO "notes" VALUES('leaderboard','{"game":"walk","at":"2024-01-01T00:02:01.005000+00:00","rank_by":"recent","leaderboard":[]}');
CREATE TABLE predictions (
	at BIGINT NOT NULL, 
	"key" VARCHAR NOT NULL, 
	model_id VARCHAR NOT NULL, 
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
	seen BIGINT, excused INTEGER, 
	PRIMARY KEY (at, "key", model_id)
);
INSERT INTO "predictions" VALUES(1704067261004321,'BTC','ada',1704067321004321,'d1',60.0,'{"asset":"BTC"}','ok','[1.5,NaN]',NULL,0.25,0,NULL,NULL,NULL);
INSERT INTO "predictions" VALUES(1704067261004321,'BTC','bob',1704067321004321,'d1',60.0,'{"asset":"BTC"}','timeout',NULL,'no answer within 1 s',0.25,0,NULL,NULL,NULL);
INSERT INTO "predictions" VALUES(1704067261004321,'ETH','ada',1704067321004321,'d1',60.0,'{"asset":"ETH"}','ok','{"é":null}',NULL,0.25,0,NULL,NULL,NULL);
INSERT INTO "predictions" VALUES(1704067321004321,'BTC','ada',1704067381004321,'d1',60.0,'{"asset":"BTC"}','ok','[2]',NULL,0.25,1,NULL,NULL,NULL);
CREATE TABLE rounds (at BIGINT NOT NULL, "key" VARCHAR NOT NULL, resolves_at BIGINT NOT NULL, horizon FLOAT NOT NULL, arguments TEXT, answers INTEGER NOT NULL, facts TEXT, PRIMARY KEY (at, "key"));
INSERT INTO "rounds" VALUES(1704067261004321,'BTC',1704067321004321,60.0,'{"asset":"BTC"}',1,NULL);
CREATE TABLE rows (
	number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	time BIGINT NOT NULL, 
	arrived BIGINT NOT NULL, 
	session INTEGER, 
	aside TEXT, 
	data TEXT, 
	UNIQUE (time, arrived)
);
INSERT INTO "rows" VALUES(1,1704067200000000,1704067201000000,1,NULL,'{"BTC":63012.5,"ETH":3000}');
INSERT INTO "rows" VALUES(2,1704067261000000,1704067262000000,1,NULL,'{"BTC":63013.25,"ETH":null}');
INSERT INTO "rows" VALUES(3,1704067321005000,1704067322005000,1,NULL,'{"BTC":63014}');
INSERT INTO "rows" VALUES(4,1704844800000000,1704067400000000,1,'from the future','{"BTC":1}');
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(5);
CREATE TABLE scores (
	at BIGINT NOT NULL, 
	"key" VARCHAR NOT NULL, 
	model_id VARCHAR NOT NULL, 
	resolves_at BIGINT NOT NULL, 
	value FLOAT, 
	outcome TEXT, 
	reason TEXT, kind VARCHAR, metrics TEXT, 
	PRIMARY KEY (at, "key", model_id)
);
INSERT INTO "scores" VALUES(1704067261004321,'BTC','ada',1704067321004321,0.125,'[0.5]',NULL,NULL,NULL);
INSERT INTO "scores" VALUES(1704067261004321,'ETH','ada',1704067321004321,NULL,NULL,'no price',NULL,NULL);
CREATE TABLE sessions (
	number INTEGER NOT NULL, 
	started BIGINT NOT NULL, 
	heartbeat BIGINT NOT NULL, 
	committed BIGINT, 
	PRIMARY KEY (number)
);
INSERT INTO "sessions" VALUES(1,1704067200000000,1704067321000000,1704067261000000);
CREATE INDEX ix_predictions_resolves_at ON predictions (resolves_at);
CREATE INDEX pending_predictions ON predictions (resolves_at) WHERE pending = 1;
CREATE INDEX ix_scores_resolves_at ON scores (resolves_at);
CREATE INDEX excused_predictions ON predictions (resolves_at) WHERE excused = 1;
CREATE INDEX ix_rounds_resolves_at ON rounds (resolves_at);
CREATE INDEX rounds_of_key ON rounds ("key", resolves_at, at);
CREATE INDEX unanswered_predictions ON predictions (resolves_at) WHERE status != 'ok';
CREATE INDEX scores_without_value ON scores (resolves_at) WHERE value IS NULL;
CREATE INDEX seldom_events ON events (number) WHERE (kind NOT IN ('TickPlayed', 'RoundPlayed'));
CREATE INDEX seldom_moments ON events (moment) WHERE (kind NOT IN ('TickPlayed', 'RoundPlayed'));
CREATE INDEX events_of_model ON events (model_id, number) WHERE model_id IS NOT NULL;
CREATE INDEX faults_of_model ON faults (model_id, at, "key");
CREATE VIEW readable_rows AS SELECT number, strftime('%Y-%m-%d %H:%M:%S', (time - (time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06d', (time % 1000000 + 1000000) % 1000000) AS time, CASE WHEN arrived > -9223372036854775808 THEN strftime('%Y-%m-%d %H:%M:%S', (arrived - (arrived % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06d', (arrived % 1000000 + 1000000) % 1000000) END AS arrived, session, aside, data FROM rows;
CREATE VIEW readable_predictions AS SELECT strftime('%Y-%m-%d %H:%M:%S', (p.at - (p.at % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06d', (p.at % 1000000 + 1000000) % 1000000) AS at, p.key, p.model_id, strftime('%Y-%m-%d %H:%M:%S', (p.resolves_at - (p.resolves_at % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06d', (p.resolves_at % 1000000 + 1000000) % 1000000) AS resolves_at, strftime('%Y-%m-%d %H:%M:%S', (p.asked_at - (p.asked_at % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06d', (p.asked_at % 1000000 + 1000000) % 1000000) AS asked_at, strftime('%Y-%m-%d %H:%M:%S', (p.seen - (p.seen % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch') || printf('.%06d', (p.seen % 1000000 + 1000000) % 1000000) AS seen, p.status, p.value AS answer, p.error, s.value AS score, s.outcome, s.reason FROM predictions p LEFT JOIN scores s ON s.at = p.at AND s.key = p.key AND s.model_id = p.model_id;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('rows',4);
INSERT INTO "sqlite_sequence" VALUES('events',1);
COMMIT;
