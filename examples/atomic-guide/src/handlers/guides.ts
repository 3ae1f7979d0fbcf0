import * as z from 'zod';
import { requireAuthor } from '../auth/require-author';
import type { RequestContext } from '../context';
import { forgetPublishedGuides, publishedGuides } from '../data/guide-cache';
import { findGuide, insertGuide, MAX_GUIDES, newGuideSchema } from '../data/guides';
import { identifier } from '../data/identifiers';
import { NotFoundError } from '../http/errors';
import { json } from '../http/json';
import { parseBody, parsePath, parseQuery } from '../http/validate';
import type { PathParams } from '../router';

const listQuery = z.strictObject({
  course: identifier.optional(),
  limit: z.coerce.number().int().min(1).max(MAX_GUIDES).default(MAX_GUIDES),
});

const guidePath = z.object({ slug: identifier });

export async function listGuides(context: RequestContext): Promise<Response> {
  const { course, limit } = parseQuery(context.url, listQuery);
  const { guides, source } = await publishedGuides(context);
  const chosen = guides.filter(({ courseId }) => course === undefined || courseId === course).slice(0, limit);
  return json({ guides: chosen }, { headers: { 'x-guides-source': source } });
}

export async function getGuide({ env }: RequestContext, params: PathParams): Promise<Response> {
  const { slug } = parsePath(params, guidePath);
  const guide = await findGuide(env.DB, slug);
  if (guide === undefined) {
    throw new NotFoundError();
  }
  return json(guide);
}

export async function createGuide(context: RequestContext): Promise<Response> {
  await requireAuthor(context);
  const guide = await parseBody(context.request, newGuideSchema);
  await insertGuide(context.env.DB, guide);
  await forgetPublishedGuides(context);
  return json(
    { slug: guide.slug, published: guide.published },
    { status: 201, headers: { Location: `/api/guides/${guide.slug}` } },
  );
}
