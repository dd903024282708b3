PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO schema_version VALUES(1);
CREATE TABLE rows (
	time BIGINT NOT NULL, 
	data TEXT, 
	PRIMARY KEY (time)
);
INSERT INTO "rows" VALUES(1704067200000000,'{"BTC":63012.5,"ETH":3000}');
INSERT INTO "rows" VALUES(1704067261000000,'{"BTC":63013.25,"ETH":null}');
INSERT INTO "rows" VALUES(1704067321005000,'{"BTC":63014}');
CREATE TABLE models (
	model_id VARCHAR NOT NULL, 
	name TEXT NOT NULL, 
	deployment_id VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	reason TEXT, 
	PRIMARY KEY (model_id)
);
INSERT INTO models VALUES('ada','Ada','d1','ready',NULL);
INSERT INTO models VALUES('bob','Bob','d1','stopped','three timeouts');
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
	PRIMARY KEY (at, "key", model_id)
);
INSERT INTO predictions VALUES(1704067261004321,'BTC','ada',1704067321004321,'d1',60.0,'{"asset":"BTC"}','ok','[1.5,NaN]',NULL,0.25,0);
INSERT INTO predictions VALUES(1704067261004321,'BTC','bob',1704067321004321,'d1',60.0,'{"asset":"BTC"}','timeout',NULL,'no answer within 1 s',0.25,0);
INSERT INTO predictions VALUES(1704067261004321,'ETH','ada',1704067321004321,'d1',60.0,'{"asset":"ETH"}','ok','{"é":null}',NULL,0.25,0);
INSERT INTO predictions VALUES(1704067321004321,'BTC','ada',1704067381004321,'d1',60.0,'{"asset":"BTC"}','ok','[2]',NULL,0.25,1);
CREATE TABLE scores (
	at BIGINT NOT NULL, 
	"key" VARCHAR NOT NULL, 
	model_id VARCHAR NOT NULL, 
	resolves_at BIGINT NOT NULL, 
	value FLOAT, 
	outcome TEXT, 
	reason TEXT, 
	PRIMARY KEY (at, "key", model_id)
);
INSERT INTO scores VALUES(1704067261004321,'BTC','ada',1704067321004321,0.125,'[0.5]',NULL);
INSERT INTO scores VALUES(1704067261004321,'ETH','ada',1704067321004321,NULL,NULL,'no price');
CREATE TABLE first_rounds (
	model_id VARCHAR NOT NULL, 
	at BIGINT NOT NULL, 
	PRIMARY KEY (model_id)
);
INSERT INTO first_rounds VALUES('ada',1704067261004321);
INSERT INTO first_rounds VALUES('bob',1704067261004321);
CREATE TABLE last_rounds (
	"key" VARCHAR NOT NULL, 
	at BIGINT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO last_rounds VALUES('BTC',1704067321004321);
INSERT INTO last_rounds VALUES('ETH',1704067261004321);
CREATE TABLE notes (
	name VARCHAR NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO notes VALUES('game','{"name":"walk"}');
INSERT INTO notes VALUES('leaderboard','{"game":"walk","at":"2024-01-01T00:02:01.005000+00:00","rank_by":"recent","leaderboard":[]}');
CREATE INDEX pending_predictions ON predictions (resolves_at) WHERE pending = 1;
CREATE INDEX ix_predictions_resolves_at ON predictions (resolves_at);
CREATE INDEX ix_scores_resolves_at ON scores (resolves_at);
CREATE VIEW readable_rows AS SELECT strftime('%Y-%m-%d %H:%M:%f', time / 1000000, 'unixepoch') AS time, data FROM rows;
CREATE VIEW readable_predictions AS SELECT strftime('%Y-%m-%d %H:%M:%f', p.at / 1000000, 'unixepoch') AS at, p.key, p.model_id, strftime('%Y-%m-%d %H:%M:%f', p.resolves_at / 1000000, 'unixepoch') AS resolves_at, p.status, p.value AS answer, p.error, s.value AS score, s.outcome, s.reason FROM predictions p LEFT JOIN scores s ON s.at = p.at AND s.key = p.key AND s.model_id = p.model_id;
COMMIT;
