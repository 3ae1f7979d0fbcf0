import type { ProgressEvent } from '../events/event';

const INSERT = `
  INSERT OR IGNORE INTO events (id, type, learner, lesson_id, percent, recorded_at) VALUES (?, ?, ?, ?, ?, ?)`;

export async function insertEvents(db: D1Database, events: readonly ProgressEvent[]): Promise<void> {
  if (events.length === 0) {
    return;
  }
  const insert = db.prepare(INSERT);
  await db.batch(
    events.map(({ id, type, learner, lessonId, percent, recordedAt }) =>
      insert.bind(id, type, learner, lessonId, percent, recordedAt),
    ),
  );
}
