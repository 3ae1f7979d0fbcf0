import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { brokenDatabase } from './support/broken';
import { callWith } from './support/client';
import { expectError } from './support/expectations';

const GUIDE_VALUES = {
  'strict-transport-security': 'max-age=31536000; includeSubDomains; preload',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'SAMEORIGIN',
  'x-xss-protection': '1; mode=block',
  'referrer-policy': 'strict-origin-when-cross-origin',
  'content-security-policy':
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; " +
    "img-src 'self' data: https:; connect-src 'self' wss: https:; frame-ancestors *",
};
const PREFLIGHT = { Origin: 'http://localhost:5173', 'Access-Control-Request-Method': 'POST' };

describe('every answer', () => {
  beforeEach(() => {
    vi.spyOn(console, 'error').mockReturnValue();
  });

  test.each([
    ['a page', 200, () => callWith({}, '/')],
    ['a preflight', 204, () => callWith({}, '/api/progress', { method: 'OPTIONS', headers: PREFLIGHT })],
    ['an unknown page', 404, () => callWith({}, '/nowhere')],
    ['a wrong method', 405, () => callWith({}, '/health', { method: 'PUT' })],
    ['an outage', 500, () => callWith({ DB: brokenDatabase() }, '/')],
    ['a wrong configuration', 500, () => callWith({ ALLOWED_ORIGINS: 'not a url' }, '/')],
  ])('has the security headers and the version: %s', async (_, status, visit) => {
    const response = await visit();
    expect(response.status).toBe(status);
    expect(Object.fromEntries(response.headers)).toMatchObject(GUIDE_VALUES);
    expect(response.headers.get('x-version-id')).toBe(env.CF_VERSION_METADATA.id);
  });
});

describe('errors', () => {
  test('404 for a path that no route has', async () => {
    expect((await expectError(await callWith({}, '/api/nothing'), 404)).error).toBe('Not found');
  });

  test('404 for a path that cannot name a resource', async () => {
    await expectError(await callWith({}, '/api/guides/Not%20A%20Slug'), 404);
  });

  test('405 names the methods that work', async () => {
    const response = await callWith({}, '/api/guides', { method: 'DELETE' });
    await expectError(response, 405);
    expect(response.headers.get('Allow')).toBe('GET, HEAD, POST');
  });

  test('500 hides the cause from the visitor and logs it under the same id', async () => {
    const log = vi.spyOn(console, 'error').mockReturnValue();
    const response = await callWith({ DB: brokenDatabase() }, '/', { headers: { 'User-Agent': 'test' } });
    const body = await expectError(response, 500);
    expect(body.error).toBe('An unexpected error occurred');
    expect(JSON.stringify(body)).not.toContain('D1');
    expect(log).toHaveBeenCalledExactlyOnceWith(
      'Production error:',
      expect.objectContaining({
        requestId: body.requestId,
        message: 'D1 is down',
        stack: expect.stringContaining('Error') as string,
        url: 'https://guide.test/',
        method: 'GET',
        userAgent: 'test',
      }),
    );
  });

  test('500 also for a thrown value that is no Error', async () => {
    vi.spyOn(console, 'error').mockReturnValue();
    const throwing = {
      prepare: () => {
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- libraries do this
        throw 'plain text';
      },
    } as unknown as D1Database;
    await expectError(await callWith({ DB: throwing }, '/'), 500);
  });
});
