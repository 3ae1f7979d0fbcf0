import * as z from 'zod';
import { requireAuthor } from '../auth/require-author';
import type { RequestContext } from '../context';
import { fileName, identifier } from '../data/identifiers';
import { lessonExists } from '../data/lessons';
import { HttpError, NotFoundError } from '../http/errors';
import { json } from '../http/json';
import { parsePath } from '../http/validate';
import type { PathParams } from '../router';

// Nothing that a browser would run: attachments are served from the app's own origin.
const ALLOWED_TYPES: ReadonlySet<string> = new Set([
  'application/pdf',
  'image/jpeg',
  'image/png',
  'text/plain',
  'video/mp4',
]);

const attachmentPath = z.object({ lesson: identifier, file: fileName });

export async function putAttachment(context: RequestContext, params: PathParams): Promise<Response> {
  await requireAuthor(context);
  const { lesson, file } = parsePath(params, attachmentPath);
  const contentType = acceptedType(context.request);
  checkLength(context.request, context.settings.maxUploadBytes);
  if (!(await lessonExists(context.env.DB, lesson))) {
    throw new NotFoundError();
  }
  const stored = await context.env.LESSON_FILES.put(objectKey(lesson, file), context.request.body, {
    httpMetadata: { contentType },
  });
  return json({ key: stored.key, size: stored.size }, { status: 201 });
}

export async function getAttachment({ env }: RequestContext, params: PathParams): Promise<Response> {
  const { lesson, file } = parsePath(params, attachmentPath);
  const stored = await env.LESSON_FILES.get(objectKey(lesson, file));
  if (stored === null) {
    throw new NotFoundError();
  }
  return new Response(stored.body, {
    headers: {
      'Content-Type': stored.httpMetadata?.contentType ?? 'application/octet-stream',
      'Content-Length': String(stored.size),
      'Content-Disposition': `attachment; filename="${file}"`,
      ETag: stored.httpEtag,
    },
  });
}

function objectKey(lesson: string, file: string): string {
  return `lessons/${lesson}/${file}`;
}

function acceptedType(request: Request): string {
  const type = request.headers.get('Content-Type') ?? '';
  if (!ALLOWED_TYPES.has(type)) {
    throw new HttpError(415, 'This type of file is not accepted');
  }
  return type;
}

/** R2 streams an upload only when its length is known, and workerd enforces the length that was announced. */
function checkLength(request: Request, limit: number): void {
  const announced = request.headers.get('Content-Length');
  if (announced === null) {
    throw new HttpError(411, 'Content-Length is required');
  }
  if (Number(announced) > limit) {
    throw new HttpError(413, 'File is too large');
  }
}
