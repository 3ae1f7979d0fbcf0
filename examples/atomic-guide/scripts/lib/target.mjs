import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { buffer } from 'node:stream/consumers';
import { parseArgs } from 'node:util';

const TIMEOUT_MS = 15_000;

const ENVIRONMENTS = {
  development: { url: 'http://localhost:8787', origin: 'http://localhost:5173' },
  staging: { url: 'https://staging-guide.yourdomain.com', origin: 'https://staging-guide.yourdomain.com' },
  production: { url: 'https://guide.yourdomain.com', origin: 'https://guide.yourdomain.com' },
};

/**
 * Reads which deployment to talk to: `--env` names it (or CLOUDFLARE_ENV, as for wrangler), and `--url` or BASE_URL sends the requests elsewhere.
 * PENSTOCK_HEADERS (a JSON object) is added to every request, for instance to reach a version that has no traffic yet.
 */
export function readTarget(options = {}) {
  const { values } = parseArgs({
    options: { env: { type: 'string', default: process.env.CLOUDFLARE_ENV || 'development' }, url: { type: 'string' }, ...options },
  });
  const environment = ENVIRONMENTS[values.env];
  if (environment === undefined) {
    throw new Error(`--env must be one of ${Object.keys(ENVIRONMENTS).join(', ')}`);
  }
  const givenUrl = values.url || process.env.BASE_URL;
  return {
    ...values,
    givenUrl,
    baseUrl: givenUrl || environment.url,
    origin: environment.origin,
    headers: JSON.parse(process.env.PENSTOCK_HEADERS || '{}'),
  };
}

/** Like `fetch`, but lets the `Host` header be set: a local edge has many hosts behind one address. */
export function createClient({ baseUrl, headers }) {
  return async (path, init = {}) => {
    const url = new URL(path, baseUrl);
    const options = {
      method: init.method ?? 'GET',
      headers: { ...headers, ...init.headers },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    };
    const request = (url.protocol === 'https:' ? https : http).request(url, options).end(init.body);
    const [incoming] = await once(request, 'response');
    return toResponse(incoming);
  };
}

async function toResponse(incoming) {
  const body = await buffer(incoming);
  const headers = Object.entries(incoming.headersDistinct).flatMap(([name, values]) => values.map((value) => [name, value]));
  return new Response(body.length > 0 ? body : null, { status: incoming.statusCode, headers });
}
