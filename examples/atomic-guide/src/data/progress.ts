import * as z from 'zod';
import { explainConstraint } from './constraints';
import { identifier, learnerId } from './identifiers';

export const newProgressSchema = z.object({
  /** Chosen by a client that wants to retry without writing twice. */
  id: z.uuid().optional(),
  learner: learnerId,
  lessonId: identifier,
  percent: z.number().int().min(0).max(100),
});

export interface ProgressRecord {
  readonly id: string;
  readonly learner: string;
  readonly lessonId: string;
  readonly percent: number;
  readonly recordedAt: string;
}

export interface LearnerProgress {
  readonly learner: string;
  readonly records: number;
  readonly events: number;
  readonly lessons: readonly Pick<ProgressRecord, 'lessonId' | 'percent' | 'recordedAt'>[];
}

const INSERT = `
  INSERT INTO progress (id, learner, lesson_id, percent, recorded_at) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (id) DO NOTHING RETURNING id`;

const COUNT_RECORDS = 'SELECT COUNT(*) AS count FROM progress WHERE learner = ?';
const COUNT_EVENTS = 'SELECT COUNT(*) AS count FROM events WHERE learner = ?';

// With MAX(), SQLite takes the other columns from the row that holds the maximum.
const LATEST_BY_LESSON = `
  SELECT lesson_id AS lessonId, percent, MAX(recorded_at) AS recordedAt
  FROM progress WHERE learner = ? GROUP BY lesson_id ORDER BY recordedAt DESC, lessonId LIMIT ?`;

/** False when a record with this id was there already. */
export async function insertProgress(db: D1Database, record: ProgressRecord): Promise<boolean> {
  const { id, learner, lessonId, percent, recordedAt } = record;
  const inserted = await db
    .prepare(INSERT)
    .bind(id, learner, lessonId, percent, recordedAt)
    .first()
    .catch((error: unknown) => {
      throw explainConstraint(error, 'This record exists', 'No such lesson');
    });
  return inserted !== null;
}

export async function findProgress(db: D1Database, learner: string, limit: number): Promise<LearnerProgress> {
  const [records, events, lessons] = await Promise.all([
    count(db, COUNT_RECORDS, learner),
    count(db, COUNT_EVENTS, learner),
    db.prepare(LATEST_BY_LESSON).bind(learner, limit).all<LearnerProgress['lessons'][number]>(),
  ]);
  return { learner, records, events, lessons: lessons.results };
}

async function count(db: D1Database, sql: string, learner: string): Promise<number> {
  return (await db.prepare(sql).bind(learner).first<number>('count')) ?? 0;
}
