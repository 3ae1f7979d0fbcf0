CREATE TABLE courses (
  id TEXT PRIMARY KEY,
  title TEXT NOT NULL
);

CREATE TABLE guides (
  id TEXT PRIMARY KEY,
  course_id TEXT NOT NULL REFERENCES courses (id),
  slug TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  summary TEXT NOT NULL,
  published INTEGER NOT NULL DEFAULT 0 CHECK (published IN (0, 1)),
  created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX guides_by_course ON guides (course_id);

CREATE TABLE lessons (
  id TEXT PRIMARY KEY,
  guide_id TEXT NOT NULL REFERENCES guides (id),
  position INTEGER NOT NULL CHECK (position > 0),
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  UNIQUE (guide_id, position)
);
