import type * as z from 'zod';
import type { PathParams } from '../router';
import { HttpError, NotFoundError, ValidationError } from './errors';

const MAX_JSON_BYTES = 64 * 1024;

export async function parseBody<T>(request: Request, schema: z.ZodType<T>): Promise<T> {
  const text = await readLimited(request, MAX_JSON_BYTES);
  return check(schema, parseJson(text));
}

export function parseQuery<T>(url: URL, schema: z.ZodType<T>): T {
  return check(schema, Object.fromEntries(url.searchParams));
}

/** A path that cannot name a resource is a resource that does not exist, hence 404 and not 400. */
export function parsePath<T>(params: PathParams, schema: z.ZodType<T>): T {
  const result = schema.safeParse(params);
  if (!result.success) {
    throw new NotFoundError();
  }
  return result.data;
}

function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (!result.success) {
    throw new ValidationError(
      result.error.issues.map(({ path, message }) => ({ path: path.join('.'), message })),
    );
  }
  return result.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ValidationError([{ path: '', message: 'Body is not JSON' }]);
  }
}

/** Stops reading at the limit: Content-Length may be absent or a lie. */
async function readLimited(request: Request, limit: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  const chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array> = request.body ?? [];
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > limit) {
      throw new HttpError(413, 'Body is too large');
    }
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
