import type { RequestContext } from '../context';
import { TooManyRequestsError } from '../http/errors';
import { describeError } from '../log';
import type { RateLimitDecision } from './rate-limiter';

const ALLOWED: RateLimitDecision = { allowed: true, retryAfterSeconds: 0 };

/** RATE_LIMIT_PER_MINUTE = "0" turns the limit off. */
export async function enforceRateLimit(context: RequestContext): Promise<void> {
  const limit = context.settings.rateLimitPerMinute;
  if (limit === 0) {
    return;
  }
  const { allowed, retryAfterSeconds } = await decide(context, limit);
  if (!allowed) {
    throw new TooManyRequestsError(retryAfterSeconds);
  }
}

/** A limiter that is down must not take the whole app down with it. */
async function decide({ request, env, log }: RequestContext, limit: number): Promise<RateLimitDecision> {
  const client = request.headers.get('CF-Connecting-IP') ?? 'unknown';
  try {
    return await env.RATE_LIMITER.getByName(`ip:${client}`).take(limit);
  } catch (error) {
    log.error('rate limiter failed, request let through', { reason: describeError(error) });
    return ALLOWED;
  }
}
