package store

// schemaVersion is raised with every change of the tables. Changes only add tables, so an older state is brought up to date
// by making those that it lacks; a newer one is refused, not guessed at.
const schemaVersion = 5

const schema = `
CREATE TABLE IF NOT EXISTS identity (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE IF NOT EXISTS scripts (
  name TEXT PRIMARY KEY,
  tag TEXT NOT NULL,
  created INTEGER NOT NULL,
  modified INTEGER NOT NULL,
  migration_tag TEXT NOT NULL DEFAULT '',
  source TEXT NOT NULL,
  workers_dev INTEGER NOT NULL DEFAULT 0,
  previews INTEGER NOT NULL DEFAULT 0,
  settings TEXT NOT NULL DEFAULT '{}',
  crons TEXT NOT NULL DEFAULT '[]',
  crons_modified INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A port outlives its script, so that a worker which is deleted and made again keeps its address.
CREATE TABLE IF NOT EXISTS ports (owner TEXT PRIMARY KEY, port INTEGER NOT NULL UNIQUE) STRICT;

CREATE TABLE IF NOT EXISTS versions (
  id TEXT PRIMARY KEY,
  script TEXT NOT NULL REFERENCES scripts(name) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  created INTEGER NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (script, number)
) STRICT;

CREATE TABLE IF NOT EXISTS version_blobs (
  version TEXT NOT NULL REFERENCES versions(id) ON DELETE CASCADE,
  blob TEXT NOT NULL,
  PRIMARY KEY (version, blob)
) STRICT;

CREATE TABLE IF NOT EXISTS deployments (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  script TEXT NOT NULL REFERENCES scripts(name) ON DELETE CASCADE,
  created INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS deployments_by_script ON deployments(script, sequence);

CREATE TABLE IF NOT EXISTS classes (
  unique_key TEXT PRIMARY KEY,
  script TEXT NOT NULL REFERENCES scripts(name) ON DELETE CASCADE,
  class TEXT NOT NULL,
  sql INTEGER NOT NULL,
  UNIQUE (script, class)
) STRICT;

CREATE TABLE IF NOT EXISTS databases (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS bookmarks (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  database TEXT NOT NULL REFERENCES databases(id) ON DELETE CASCADE,
  bookmark TEXT NOT NULL UNIQUE,
  created INTEGER NOT NULL,
  blob TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS namespaces (id TEXT PRIMARY KEY, title TEXT NOT NULL UNIQUE, created INTEGER NOT NULL) STRICT;

CREATE TABLE IF NOT EXISTS entries (
  namespace TEXT NOT NULL REFERENCES namespaces(id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  value BLOB NOT NULL,
  metadata TEXT,
  expires INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (namespace, key)
) STRICT;
CREATE INDEX IF NOT EXISTS entries_by_expiry ON entries(expires) WHERE expires > 0;

CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, created INTEGER NOT NULL, body TEXT NOT NULL) STRICT;

CREATE TABLE IF NOT EXISTS objects (
  bucket TEXT NOT NULL REFERENCES buckets(name),
  key TEXT NOT NULL,
  version TEXT NOT NULL,
  etag TEXT NOT NULL,
  size INTEGER NOT NULL,
  uploaded INTEGER NOT NULL,
  http TEXT NOT NULL,
  custom TEXT NOT NULL,
  blob TEXT NOT NULL,
  PRIMARY KEY (bucket, key)
) STRICT;
CREATE INDEX IF NOT EXISTS objects_by_blob ON objects(blob);

CREATE TABLE IF NOT EXISTS queues (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL, modified INTEGER NOT NULL, settings TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS consumers (
  id TEXT PRIMARY KEY,
  queue TEXT NOT NULL REFERENCES queues(id) ON DELETE CASCADE,
  created INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS messages (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  queue TEXT NOT NULL REFERENCES queues(id) ON DELETE CASCADE,
  content_type TEXT NOT NULL,
  body BLOB NOT NULL,
  sent INTEGER NOT NULL,
  visible INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX IF NOT EXISTS messages_by_queue ON messages(queue, visible);

CREATE TABLE IF NOT EXISTS zones (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL) STRICT;

CREATE TABLE IF NOT EXISTS routes (
  id TEXT PRIMARY KEY,
  zone TEXT NOT NULL REFERENCES zones(id) ON DELETE CASCADE,
  pattern TEXT NOT NULL UNIQUE,
  script TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS domains (
  id TEXT PRIMARY KEY,
  zone TEXT NOT NULL REFERENCES zones(id) ON DELETE CASCADE,
  hostname TEXT NOT NULL UNIQUE,
  script TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS zone_settings (
  zone TEXT NOT NULL REFERENCES zones(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  modified INTEGER NOT NULL,
  PRIMARY KEY (zone, name)
) STRICT;
CREATE TABLE IF NOT EXISTS vector_indexes (name TEXT PRIMARY KEY, created INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS vectors (
  vector_index TEXT NOT NULL REFERENCES vector_indexes(name) ON DELETE CASCADE,
  id TEXT NOT NULL,
  namespace TEXT NOT NULL,
  body TEXT NOT NULL,
  indexed TEXT NOT NULL, -- what the metadata indexes of its time made of it
  PRIMARY KEY (vector_index, id)
) STRICT;
CREATE TABLE IF NOT EXISTS assets (hash TEXT PRIMARY KEY, content_type TEXT NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL) STRICT;
-- What was measured, by second in the past hour and by minute before.
CREATE TABLE IF NOT EXISTS samples (
  dataset TEXT NOT NULL,
  at INTEGER NOT NULL, -- seconds since 1970
  dimensions TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (dataset, at, dimensions)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS certificates (
  id TEXT PRIMARY KEY,
  zone TEXT NOT NULL REFERENCES zones(id) ON DELETE CASCADE,
  created INTEGER NOT NULL,
  body TEXT NOT NULL
) STRICT;
`
