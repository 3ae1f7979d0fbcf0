-- The record itself: nothing here is ever updated or deleted. hash = sha256(hash of the event before || body).
CREATE TABLE events (
  seq  INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,          -- event type, or lease, release, checkpoint
  run  TEXT NOT NULL,          -- '' where no run is concerned
  body TEXT NOT NULL,          -- JSON, exactly the bytes that were hashed
  hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX events_by_run ON events (run, seq);

CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;

-- The end of the chain; every table below says what the events up to here say.
CREATE TABLE head (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  seq  INTEGER NOT NULL,
  hash BLOB NOT NULL
) STRICT;
INSERT INTO head (id, seq, hash) VALUES (1, 0, zeroblob(32));

CREATE TABLE runs (
  id          TEXT PRIMARY KEY,
  app         TEXT NOT NULL,
  environment TEXT NOT NULL,
  started_seq INTEGER NOT NULL,
  started     TEXT NOT NULL,
  finished    TEXT,            -- NULL while no end is on record
  info        TEXT NOT NULL,   -- event.RunInfo
  process     TEXT NOT NULL,   -- who runs it
  result      TEXT,            -- event.Result
  bundle      TEXT NOT NULL DEFAULT '',
  plan        TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX runs_by_place ON runs (app, environment, started_seq);
CREATE INDEX runs_by_start ON runs (started_seq);

CREATE TABLE stages (
  run TEXT NOT NULL, moment TEXT NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL,
  outcome TEXT NOT NULL, stage TEXT NOT NULL,  -- event.Stage
  PRIMARY KEY (run, moment, name)
) STRICT;

CREATE TABLE verdicts (
  run TEXT NOT NULL, phase TEXT NOT NULL, gate TEXT NOT NULL, seq INTEGER NOT NULL,
  outcome TEXT NOT NULL, blocks INTEGER NOT NULL, verdict TEXT NOT NULL,  -- event.Gate
  PRIMARY KEY (run, phase, gate)
) STRICT;

CREATE TABLE steps (
  run TEXT NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL,
  finished INTEGER NOT NULL, step TEXT NOT NULL,  -- event.Step
  PRIMARY KEY (run, name)
) STRICT;

CREATE TABLE promotions (
  id TEXT PRIMARY KEY, app TEXT NOT NULL, environment TEXT NOT NULL, run TEXT NOT NULL, seq INTEGER NOT NULL,
  state TEXT NOT NULL, ended INTEGER NOT NULL, checkpoint TEXT NOT NULL  -- promotion.Checkpoint
) STRICT;
CREATE INDEX promotions_by_place ON promotions (app, environment, ended, seq);

CREATE TABLE environments (
  app TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL, bundle TEXT NOT NULL, promotion TEXT NOT NULL,
  run TEXT NOT NULL, url TEXT NOT NULL, since TEXT NOT NULL,
  PRIMARY KEY (app, name)
) STRICT;

-- heartbeat is the one value here that does not come from an event: it would drown the chain.
CREATE TABLE leases (
  app TEXT NOT NULL, environment TEXT NOT NULL, token INTEGER NOT NULL, promotion TEXT NOT NULL, process TEXT NOT NULL,
  acquired TEXT NOT NULL, released INTEGER NOT NULL, heartbeat TEXT NOT NULL,
  PRIMARY KEY (app, environment)
) STRICT;
