import * as z from 'zod';
import type { RequestContext } from '../context';
import { ForbiddenError, UnauthorizedError } from '../http/errors';
import { signingKey, verifyJwt } from './jwt';

const claimsSchema = z.object({ sub: z.string().min(1), role: z.string() });

/** Lets only a signed-in author go on. */
export async function requireAuthor({ request, env }: RequestContext): Promise<void> {
  const token = bearerToken(request);
  const secret = signingKey(env.JWT_SECRET);
  const payload = token === undefined ? undefined : await verifyJwt(token, secret, Date.now());
  const claims = claimsSchema.safeParse(payload);
  if (!claims.success) {
    throw new UnauthorizedError();
  }
  if (claims.data.role !== 'author') {
    throw new ForbiddenError('Only authors may do this');
  }
}

function bearerToken(request: Request): string | undefined {
  return /^Bearer (\S+)$/.exec(request.headers.get('Authorization') ?? '')?.[1];
}
