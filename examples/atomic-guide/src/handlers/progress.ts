import * as z from 'zod';
import type { RequestContext } from '../context';
import { learnerId } from '../data/identifiers';
import { findProgress, insertProgress, newProgressSchema, type ProgressRecord } from '../data/progress';
import { publish } from '../events/event';
import { json } from '../http/json';
import { parseBody, parsePath, parseQuery } from '../http/validate';
import type { PathParams } from '../router';

const progressPath = z.object({ learner: learnerId });
const progressQuery = z.strictObject({ limit: z.coerce.number().int().min(1).max(100).default(50) });

export async function recordProgress(context: RequestContext): Promise<Response> {
  const { id, ...progress } = await parseBody(context.request, newProgressSchema);
  const record: ProgressRecord = {
    ...progress,
    id: id ?? crypto.randomUUID(),
    recordedAt: new Date().toISOString(),
  };
  const isNew = await insertProgress(context.env.DB, record);
  if (!isNew) {
    return json({ id: record.id, duplicate: true });
  }
  publish(context, { type: 'progress.recorded', ...record });
  return json(record, { status: 201 });
}

export async function getProgress(context: RequestContext, params: PathParams): Promise<Response> {
  const { learner } = parsePath(params, progressPath);
  const { limit } = parseQuery(context.url, progressQuery);
  const progress = await findProgress(context.env.DB, learner, limit);
  return json(progress, { headers: { 'Cache-Control': 'no-store' } });
}
