import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, test, vi } from 'vitest';
import { brokenNamespace } from './support/broken';
import { callWith } from './support/client';
import { expectError } from './support/expectations';

const LIMIT_OF_TWO = { RATE_LIMIT_PER_MINUTE: '2' };

function visitFrom(address: string, path = '/api/courses', overrides = {}): Promise<Response> {
  return callWith({ ...LIMIT_OF_TWO, ...overrides }, path, { headers: { 'CF-Connecting-IP': address } });
}

async function statuses(visits: number, visit: () => Promise<Response>): Promise<number[]> {
  const seen: number[] = [];
  for (let count = 0; count < visits; count += 1) {
    seen.push((await visit()).status);
  }
  return seen;
}

describe('rate limit', () => {
  test('turns a client away after its last allowed request', async () => {
    expect(await statuses(2, () => visitFrom('192.0.2.1'))).toEqual([200, 200]);
    const response = await visitFrom('192.0.2.1');
    await expectError(response, 429);
    const retryAfter = Number(response.headers.get('Retry-After'));
    expect(retryAfter).toBeGreaterThan(0);
    expect(retryAfter).toBeLessThanOrEqual(60);
  });

  test('counts each client alone', async () => {
    await statuses(3, () => visitFrom('192.0.2.1'));
    expect((await visitFrom('192.0.2.2')).status).toBe(200);
  });

  test('counts clients without an address together', async () => {
    expect(await statuses(3, () => callWith(LIMIT_OF_TWO, '/api/courses'))).toEqual([200, 200, 429]);
  });

  test('counts requests that arrive at the same time', async () => {
    const responses = await Promise.all(Array.from({ length: 5 }, () => visitFrom('192.0.2.1')));
    expect(responses.map(({ status }) => status).sort()).toEqual([200, 200, 429, 429, 429]);
  });

  test('never turns a health check away', async () => {
    expect(await statuses(4, () => visitFrom('192.0.2.1', '/health'))).toEqual([200, 200, 200, 200]);
  });

  test('is off when the limit is 0', async () => {
    const visit = () => visitFrom('192.0.2.1', '/api/courses', { RATE_LIMIT_PER_MINUTE: '0' });
    expect(await statuses(4, visit)).toEqual([200, 200, 200, 200]);
  });

  test('lets requests through while the limiter is down', async () => {
    const log = vi.spyOn(console, 'error').mockReturnValue();
    const visit = () => visitFrom('192.0.2.1', '/api/courses', { RATE_LIMITER: brokenNamespace() });
    expect(await statuses(3, visit)).toEqual([200, 200, 200]);
    expect(log).toHaveBeenCalledTimes(3);
  });
});

describe('RateLimiter', () => {
  test('starts again when the minute is over', async () => {
    const limiter = env.RATE_LIMITER.getByName('ip:192.0.2.1');
    await limiter.take(1);
    await runInDurableObject(limiter, (_, { storage }) => {
      storage.kv.put('window', { startedAt: Date.now() - 60_000, requests: 1 });
    });
    expect(await limiter.take(1)).toEqual({ allowed: true, retryAfterSeconds: 0 });
  });

  test('deletes what it stored once the client is gone', async () => {
    const limiter = env.RATE_LIMITER.getByName('ip:192.0.2.1');
    await limiter.take(1);
    expect(await runDurableObjectAlarm(limiter)).toBe(true);
    await runInDurableObject(limiter, (_, { storage }) => {
      expect([...storage.kv.list()]).toEqual([]);
    });
    expect((await limiter.take(1)).allowed).toBe(true);
  });
});
