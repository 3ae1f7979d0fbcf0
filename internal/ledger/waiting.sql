
-- Runs that wait without a process, what people decided about them, and what may pass a gate.
CREATE TABLE holds (
  run TEXT PRIMARY KEY, app TEXT NOT NULL, environment TEXT NOT NULL, promotion TEXT NOT NULL, plan TEXT NOT NULL, seq INTEGER NOT NULL,
  state TEXT NOT NULL, waits INTEGER NOT NULL, reason TEXT NOT NULL, hold TEXT NOT NULL  -- promotion.Hold
) STRICT;
CREATE INDEX holds_by_place ON holds (app, environment, waits);

CREATE TABLE decisions (
  seq INTEGER PRIMARY KEY, run TEXT NOT NULL, plan TEXT NOT NULL, decision TEXT NOT NULL  -- promotion.Decision
) STRICT;
CREATE INDEX decisions_by_run ON decisions (run, seq);

CREATE TABLE waivers (
  id TEXT PRIMARY KEY, app TEXT NOT NULL, environment TEXT NOT NULL, gate TEXT NOT NULL, seq INTEGER NOT NULL, waiver TEXT NOT NULL  -- promotion.Waiver
) STRICT;
CREATE INDEX waivers_by_place ON waivers (app, environment, seq);
