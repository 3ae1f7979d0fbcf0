import { parseArgs } from 'node:util';

const TIMEOUT_MS = 15_000;

const ENVIRONMENTS = {
  development: { url: 'http://localhost:8787', origin: 'http://localhost:5173' },
  staging: { url: 'https://staging-guide.yourdomain.com', origin: 'https://staging-guide.yourdomain.com' },
  production: { url: 'https://guide.yourdomain.com', origin: 'https://guide.yourdomain.com' },
};

/**
 * Reads which deployment to talk to: `--env` names it, and `--url` or BASE_URL sends the requests elsewhere.
 * PENSTOCK_HEADERS (a JSON object) is added to every request, for instance to reach a version that has no traffic yet.
 */
export function readTarget(options = {}) {
  const { values } = parseArgs({
    options: { env: { type: 'string', default: 'development' }, url: { type: 'string' }, ...options },
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

export function createClient({ baseUrl, headers }) {
  return (path, init = {}) =>
    fetch(new URL(path, baseUrl), {
      redirect: 'manual',
      ...init,
      headers: { ...headers, ...init.headers },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
}
