import { describe, expect, test } from 'vitest';
import { callWith } from './support/client';
import { expectError } from './support/expectations';
import { authorization } from './support/tokens';

const PATH = '/api/lessons/welcome-1/attachments/notes.txt';
const TEXT = 'Five minutes a day';

interface Upload {
  readonly path?: string;
  readonly type?: string;
  readonly length?: string | null;
  readonly limit?: string;
}

async function upload({ path = PATH, type = 'text/plain', length = String(TEXT.length), limit = '100' }: Upload = {}): Promise<Response> {
  const headers = new Headers({ 'Content-Type': type, ...(await authorization()) });
  if (length !== null) {
    headers.set('Content-Length', length);
  }
  return callWith({ MAX_UPLOAD_BYTES: limit }, path, { method: 'PUT', headers, body: TEXT });
}

describe('lesson attachments', () => {
  test('come back as they were sent', async () => {
    const stored = await upload();
    expect(stored.status).toBe(201);
    expect(await stored.json()).toEqual({ key: 'lessons/welcome-1/notes.txt', size: TEXT.length });
    const response = await callWith({}, PATH);
    expect(await response.text()).toBe(TEXT);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/plain',
      'content-disposition': 'attachment; filename="notes.txt"',
      etag: expect.stringMatching(/^".+"$/) as string,
    });
  });

  test('are 404 when nobody has sent them', async () => {
    await expectError(await callWith({}, PATH), 404);
  });

  test('need an author', async () => {
    await expectError(await callWith({}, PATH, { method: 'PUT', body: TEXT }), 401);
  });

  test.each<[string, number, Upload]>([
    ['a type that browsers run', 415, { type: 'text/html' }],
    ['no type', 415, { type: '' }],
    ['more than the limit', 413, { limit: '5' }],
    ['an unknown length', 411, { length: null }],
    ['an unknown lesson', 404, { path: '/api/lessons/no-such-lesson/attachments/notes.txt' }],
    ['a hidden file', 404, { path: '/api/lessons/welcome-1/attachments/.env' }],
    ['a path in the name', 404, { path: '/api/lessons/welcome-1/attachments/..%2Fnotes.txt' }],
  ])('are refused with %s', async (_, status, options) => {
    await expectError(await upload(options), status);
  });
});
