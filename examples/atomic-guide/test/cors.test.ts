import { describe, expect, test } from 'vitest';
import { callWith } from './support/client';
import { expectError } from './support/expectations';

const ALLOWED_ORIGINS = 'https://lms.example, https://guide.example';

interface Visit {
  readonly method?: string;
  readonly headers?: Record<string, string>;
}

function visit(origin: string, init: Visit = {}, path = '/api/courses'): Promise<Response> {
  return callWith({ ALLOWED_ORIGINS }, path, { ...init, headers: { Origin: origin, ...init.headers } });
}

describe('CORS', () => {
  test.each(['https://lms.example', 'https://guide.example'])('lets %s in', async (origin) => {
    const response = await visit(origin);
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe(origin);
    expect(response.headers.get('Vary')).toBe('Origin');
  });

  test.each(['https://evil.example', 'https://lms.example.evil.example', 'http://lms.example', 'null'])(
    'keeps %s out',
    async (origin) => {
      const response = await visit(origin);
      expect(response.status).toBe(200);
      expect(response.headers.get('Access-Control-Allow-Origin')).toBeNull();
    },
  );

  test('lets an allowed origin read errors too', async () => {
    const response = await visit('https://lms.example', {}, '/nowhere');
    await expectError(response, 404);
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('https://lms.example');
  });

  test('answers a preflight', async () => {
    const headers = { 'Access-Control-Request-Method': 'POST' };
    const response = await visit('https://lms.example', { method: 'OPTIONS', headers });
    expect(response.status).toBe(204);
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('https://lms.example');
    expect(response.headers.get('Access-Control-Allow-Methods')).toBe('GET, HEAD, POST, PUT');
    expect(response.headers.get('Access-Control-Allow-Headers')).toBe('Authorization, Content-Type');
  });

  test('refuses the preflight of another site', async () => {
    const headers = { 'Access-Control-Request-Method': 'POST' };
    await expectError(await visit('https://evil.example', { method: 'OPTIONS', headers }), 403);
  });

  test('treats OPTIONS without a preflight header as a wrong method', async () => {
    await expectError(await visit('https://lms.example', { method: 'OPTIONS' }), 405);
  });
});
