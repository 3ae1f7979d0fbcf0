import { ForbiddenError } from './errors';

const PREFLIGHT_HEADERS = {
  'Access-Control-Allow-Methods': 'GET, HEAD, POST, PUT',
  'Access-Control-Allow-Headers': 'Authorization, Content-Type',
  'Access-Control-Max-Age': '600',
};

export function isPreflight(request: Request): boolean {
  return (
    request.method === 'OPTIONS' &&
    request.headers.has('Origin') &&
    request.headers.has('Access-Control-Request-Method')
  );
}

export function preflightResponse(request: Request, allowedOrigins: readonly string[]): Response {
  if (allowedOrigin(request, allowedOrigins) === undefined) {
    throw new ForbiddenError('Origin not allowed');
  }
  return new Response(null, { status: 204, headers: PREFLIGHT_HEADERS });
}

export function withCors(request: Request, response: Response, allowedOrigins: readonly string[]): Response {
  const headers = new Headers(response.headers);
  headers.append('Vary', 'Origin');
  const origin = allowedOrigin(request, allowedOrigins);
  if (origin !== undefined) {
    headers.set('Access-Control-Allow-Origin', origin);
    headers.set('Access-Control-Expose-Headers', 'x-version-id, Retry-After');
  }
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

function allowedOrigin(request: Request, allowedOrigins: readonly string[]): string | undefined {
  const origin = request.headers.get('Origin');
  return allowedOrigins.find((allowed) => allowed === origin);
}
