CREATE TABLE progress (
  id TEXT PRIMARY KEY,
  learner TEXT NOT NULL,
  lesson_id TEXT NOT NULL REFERENCES lessons (id),
  percent INTEGER NOT NULL CHECK (percent BETWEEN 0 AND 100),
  recorded_at TEXT NOT NULL
);

CREATE INDEX progress_by_learner ON progress (learner, lesson_id, recorded_at);

-- Analytics outlive the lessons that they tell about, hence no foreign key.
CREATE TABLE events (
  id TEXT PRIMARY KEY,
  type TEXT NOT NULL,
  learner TEXT NOT NULL,
  lesson_id TEXT NOT NULL,
  percent INTEGER NOT NULL,
  recorded_at TEXT NOT NULL
);

CREATE INDEX events_by_learner ON events (learner, recorded_at);
