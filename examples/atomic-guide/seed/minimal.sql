-- May run any number of times: rows that exist stay as they are.
INSERT OR IGNORE INTO courses (id, title) VALUES ('learning-basics', 'Learning basics');

INSERT OR IGNORE INTO guides (id, course_id, slug, title, summary, published, estimated_minutes) VALUES
  ('guide-welcome', 'learning-basics', 'welcome', 'Welcome to Atomic Guide', 'How to study in small steps', 1, 10),
  ('guide-spaced-practice', 'learning-basics', 'spaced-practice', 'Spaced practice', 'Why short & regular beats long', 1, 25);

INSERT OR IGNORE INTO lessons (id, guide_id, position, title, body) VALUES
  ('welcome-1', 'guide-welcome', 1, 'Start small', 'Pick one thing and do it for five minutes.'),
  ('welcome-2', 'guide-welcome', 2, 'Keep a record', 'Write down what you did, so that you see it grow.'),
  ('spaced-practice-1', 'guide-spaced-practice', 1, 'The forgetting curve', 'Review just before you would forget.');
