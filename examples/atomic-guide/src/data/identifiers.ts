import * as z from 'zod';

/** Ids and slugs that need no escaping in paths, object keys or SQL. */
export const identifier = z.string().regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/).max(64);
export const learnerId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/);
export const fileName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/);
