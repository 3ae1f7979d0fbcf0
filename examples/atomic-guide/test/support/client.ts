import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test';
import { env, exports } from 'cloudflare:workers';
import { handleRequest } from '../../src/app';
import type { Env } from '../../src/env';

const ORIGIN = 'https://guide.test';

/** Calls the Worker as a visitor does, with the bindings of wrangler.jsonc. */
export function call(path: string, init?: RequestInit): Promise<Response> {
  return exports.default.fetch(new Request(`${ORIGIN}${path}`, init));
}

/** Calls the Worker with some bindings replaced, and waits for its background work. */
export async function callWith(overrides: Partial<Env>, path: string, init?: RequestInit): Promise<Response> {
  const execution = createExecutionContext();
  const response = await handleRequest(new Request(`${ORIGIN}${path}`, init), { ...env, ...overrides }, execution);
  await waitOnExecutionContext(execution);
  return response;
}

export function postJson(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  };
}
