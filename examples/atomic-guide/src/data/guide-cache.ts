import * as z from 'zod';
import type { RequestContext } from '../context';
import { describeError } from '../log';
import { findPublishedGuides, guideSummarySchema, type GuideSummary } from './guides';

// Raise the number when the shape changes: during a gradual deployment two versions share this cache.
const CACHE_KEY = 'guides:published:v1';
// "apiResponses: 5m" in the production guide.
const TTL_SECONDS = 300;

const cachedGuides = z.array(guideSummarySchema);

export interface CachedGuides {
  readonly guides: readonly GuideSummary[];
  readonly source: 'cache' | 'database';
}

export async function publishedGuides(context: RequestContext): Promise<CachedGuides> {
  const cached = await readCache(context);
  if (cached !== undefined) {
    return { guides: cached, source: 'cache' };
  }
  const guides = await findPublishedGuides(context.env.DB);
  context.waitUntil(
    tolerate(context, 'write', () =>
      context.env.GUIDE_CACHE.put(CACHE_KEY, JSON.stringify(guides), { expirationTtl: TTL_SECONDS }),
    ),
  );
  return { guides, source: 'database' };
}

export async function forgetPublishedGuides(context: RequestContext): Promise<void> {
  await tolerate(context, 'delete', () => context.env.GUIDE_CACHE.delete(CACHE_KEY));
}

async function readCache(context: RequestContext): Promise<GuideSummary[] | undefined> {
  const value = await tolerate(context, 'read', () => context.env.GUIDE_CACHE.get(CACHE_KEY, 'json'));
  return cachedGuides.safeParse(value).data;
}

/** D1 has the truth, so a cache that is down costs time and nothing else. */
async function tolerate<T>({ log }: RequestContext, action: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    log.error('guide cache failed', { action, reason: describeError(error) });
    return undefined;
  }
}
