import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Env } from '../src/env';
import { handleHealthCheck } from '../src/handlers/health';
import { broken, brokenDatabase, brokenNamespace } from './support/broken';
import { call, callWith } from './support/client';

interface Health {
  readonly status: string;
  readonly version: string;
  readonly checks: Record<string, { status: string; latency: number }>;
}

describe('GET /health', () => {
  test('reports every dependency as ok', async () => {
    const response = await call('/health');
    const ok = { status: 'ok', latency: expect.any(Number) as number };
    expect(await response.json()).toEqual({
      status: 'healthy',
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as string,
      version: env.CF_VERSION_METADATA.id,
      checks: { database: ok, kv: ok, r2: ok, durable_objects: ok, queue: ok },
    });
    expect(response.status).toBe(200);
    expect(response.headers.get('Cache-Control')).toBe('no-store');
  });

  test('answers HEAD without a body', async () => {
    const response = await call('/health', { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(await response.text()).toBe('');
  });

  describe('when a dependency is down', () => {
    beforeEach(() => {
      vi.spyOn(console, 'error').mockReturnValue();
    });

    const outages: [string, Partial<Env>][] = [
      ['database', { DB: brokenDatabase() }],
      ['kv', { GUIDE_CACHE: broken() as KVNamespace }],
      ['r2', { LESSON_FILES: broken() as R2Bucket }],
      ['durable_objects', { RATE_LIMITER: brokenNamespace() }],
      ['queue', { ANALYTICS_QUEUE: broken() as Queue }],
    ];

    test.each(outages)('names %s and answers 503', async (name, overrides) => {
      const response = await callWith(overrides, '/health');
      const health: Health = await response.json();
      expect(response.status).toBe(503);
      expect(health.status).toBe('unhealthy');
      const failed = Object.entries(health.checks).filter(([, { status }]) => status === 'error');
      expect(failed.map(([failedName]) => failedName)).toEqual([name]);
    });

    test('does not tell visitors why', async () => {
      const log = vi.spyOn(console, 'error').mockReturnValue();
      const response = await callWith({ DB: brokenDatabase() }, '/health');
      expect(await response.text()).not.toContain('D1 is down');
      expect(log).toHaveBeenCalledWith('Health check failed:', { name: 'database', reason: 'D1 is down' });
    });

    test('does not wait for a dependency that hangs', async () => {
      const hanging = { head: () => new Promise<never>(() => undefined) } as unknown as R2Bucket;
      const response = await handleHealthCheck({ ...env, LESSON_FILES: hanging }, 50);
      const health: Health = await response.json();
      expect(response.status).toBe(503);
      expect(health.checks['r2']?.status).toBe('error');
    });
  });
});
