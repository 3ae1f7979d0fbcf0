import type { RateLimiter } from '../../src/limits/rate-limiter';

/** A binding whose every method rejects, as one does when its service is down. */
export function broken(): unknown {
  return new Proxy({}, { get: () => () => Promise.reject(new Error('service is down')) });
}

/** A D1 database that is down: `prepare` itself works, the query fails. */
export function brokenDatabase(): D1Database {
  const fail = () => Promise.reject(new Error('D1 is down'));
  const statement = { bind: () => statement, first: fail, all: fail };
  return { prepare: () => statement, batch: fail } as unknown as D1Database;
}

/** A namespace whose objects all fail. */
export function brokenNamespace(): DurableObjectNamespace<RateLimiter> {
  return { getByName: () => broken() } as unknown as DurableObjectNamespace<RateLimiter>;
}
