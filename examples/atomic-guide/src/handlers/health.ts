import type { Env } from '../env';
import { json } from '../http/json';
import { describeError } from '../log';

const CHECK_TIMEOUT_MS = 5_000;

export interface Check {
  readonly status: 'ok' | 'error';
  readonly latency: number;
}

export async function handleHealthCheck(env: Env, timeoutMs = CHECK_TIMEOUT_MS): Promise<Response> {
  const checks = await runChecks(dependencies(env), timeoutMs);
  const allHealthy = Object.values(checks).every(({ status }) => status === 'ok');
  return json(
    {
      status: allHealthy ? 'healthy' : 'unhealthy',
      timestamp: new Date().toISOString(),
      version: env.CF_VERSION_METADATA.id,
      checks,
    },
    { status: allHealthy ? 200 : 503, headers: { 'Cache-Control': 'no-store' } },
  );
}

type Probe = () => Promise<unknown>;

/** Each probe reaches the service itself, reads only, and needs no data to be there. */
function dependencies(env: Env): Record<string, Probe> {
  return {
    database: () => env.DB.prepare('SELECT 1').first(),
    kv: () => env.GUIDE_CACHE.get('health'),
    r2: () => env.LESSON_FILES.head('health'),
    durable_objects: () => env.RATE_LIMITER.getByName('health').ping(),
    queue: () => env.ANALYTICS_QUEUE.metrics(),
  };
}

async function runChecks(probes: Record<string, Probe>, timeoutMs: number): Promise<Record<string, Check>> {
  const entries = Object.entries(probes).map(
    async ([name, probe]) => [name, await check(name, probe, timeoutMs)] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

async function check(name: string, probe: Probe, timeoutMs: number): Promise<Check> {
  const startedAt = Date.now();
  try {
    await Promise.race([probe(), timeout(timeoutMs)]);
    return { status: 'ok', latency: Date.now() - startedAt };
  } catch (error) {
    console.error('Health check failed:', { name, reason: describeError(error) });
    return { status: 'error', latency: Date.now() - startedAt };
  }
}

/** A dependency that hangs must not make the health page hang. */
async function timeout(milliseconds: number): Promise<never> {
  await scheduler.wait(milliseconds);
  throw new Error('no answer in time');
}
