import * as z from 'zod';
import { explainConstraint } from './constraints';
import { identifier } from './identifiers';

/** The most guides that one answer holds ("maxBatchSize" in the production guide). */
export const MAX_GUIDES = 100;

export const guideSummarySchema = z.object({
  slug: z.string(),
  title: z.string(),
  summary: z.string(),
  courseId: z.string(),
  estimatedMinutes: z.number(),
  lessons: z.number(),
});

export const newGuideSchema = z.object({
  slug: identifier,
  title: z.string().trim().min(1).max(200),
  summary: z.string().trim().max(1000),
  courseId: identifier,
  estimatedMinutes: z.number().int().min(0).max(10_000).default(0),
  published: z.boolean().default(false),
  lessons: z
    .array(z.object({ title: z.string().trim().min(1).max(200), body: z.string().max(20_000) }))
    .max(20)
    .default([]),
});

export type GuideSummary = z.infer<typeof guideSummarySchema>;
export type NewGuide = z.infer<typeof newGuideSchema>;

export interface Lesson {
  readonly id: string;
  readonly position: number;
  readonly title: string;
  readonly body: string;
}

export interface Guide extends GuideSummary {
  readonly contents: readonly Lesson[];
}

const SUMMARY_COLUMNS = `
  guides.slug, guides.title, guides.summary, guides.course_id AS courseId,
  guides.estimated_minutes AS estimatedMinutes,
  (SELECT COUNT(*) FROM lessons WHERE lessons.guide_id = guides.id) AS lessons`;

const LIST_PUBLISHED = `
  SELECT ${SUMMARY_COLUMNS} FROM guides WHERE published = 1 ORDER BY title, slug LIMIT ?`;

const FIND_BY_SLUG = `
  SELECT ${SUMMARY_COLUMNS} FROM guides WHERE slug = ? AND published = 1`;

const LESSONS_BY_SLUG = `
  SELECT lessons.id, lessons.position, lessons.title, lessons.body
  FROM lessons JOIN guides ON guides.id = lessons.guide_id
  WHERE guides.slug = ? ORDER BY lessons.position`;

const INSERT_GUIDE = `
  INSERT INTO guides (id, course_id, slug, title, summary, estimated_minutes, published)
  VALUES (?, ?, ?, ?, ?, ?, ?)`;

const INSERT_LESSON = `
  INSERT INTO lessons (id, guide_id, position, title, body) VALUES (?, ?, ?, ?, ?)`;

export async function findPublishedGuides(db: D1Database): Promise<GuideSummary[]> {
  const { results } = await db.prepare(LIST_PUBLISHED).bind(MAX_GUIDES).all<GuideSummary>();
  return results;
}

export async function findGuide(db: D1Database, slug: string): Promise<Guide | undefined> {
  const summary = await db.prepare(FIND_BY_SLUG).bind(slug).first<GuideSummary>();
  if (summary === null) {
    return undefined;
  }
  const { results } = await db.prepare(LESSONS_BY_SLUG).bind(slug).all<Lesson>();
  return { ...summary, contents: results };
}

/** The guide and its lessons are one transaction: `batch` rolls back as a whole. */
export async function insertGuide(db: D1Database, guide: NewGuide): Promise<void> {
  const guideId = crypto.randomUUID();
  const insertGuideRow = db
    .prepare(INSERT_GUIDE)
    .bind(
      guideId,
      guide.courseId,
      guide.slug,
      guide.title,
      guide.summary,
      guide.estimatedMinutes,
      guide.published ? 1 : 0,
    );
  const insertLesson = db.prepare(INSERT_LESSON);
  const insertLessonRows = guide.lessons.map(({ title, body }, index) =>
    insertLesson.bind(crypto.randomUUID(), guideId, index + 1, title, body),
  );
  await db.batch([insertGuideRow, ...insertLessonRows]).catch((error: unknown) => {
    throw explainConstraint(error, 'A guide with this slug exists', 'No such course');
  });
}
