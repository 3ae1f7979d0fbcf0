import type { RequestContext } from './context';
import type { Env } from './env';
import { isPreflight, preflightResponse, withCors } from './http/cors';
import { MethodNotAllowedError, NotFoundError } from './http/errors';
import { ProductionErrorHandler } from './http/production-error-handler';
import { addSecurityHeaders } from './http/security-headers';
import { enforceRateLimit } from './limits/enforce-rate-limit';
import { createLogger } from './log';
import { HEALTH_PATH, router } from './routes';
import { loadSettings } from './settings';

export async function handleRequest(request: Request, env: Env, execution: ExecutionContext): Promise<Response> {
  const response = await respond(request, env, execution).catch((error: unknown) =>
    ProductionErrorHandler.handle(error, request),
  );
  return withVersion(addSecurityHeaders(response), env, request.method);
}

async function respond(request: Request, env: Env, execution: ExecutionContext): Promise<Response> {
  const startedAt = Date.now();
  const settings = loadSettings(env);
  const context: RequestContext = {
    request,
    url: new URL(request.url),
    env,
    settings,
    log: createLogger(settings.logLevel),
    waitUntil: (work) => { execution.waitUntil(work); },
  };
  // A browser can only read an error answer that carries the CORS headers too.
  const answered = await answer(context).catch((error: unknown) => ProductionErrorHandler.handle(error, request));
  context.log.debug('request', {
    method: request.method,
    path: context.url.pathname,
    status: answered.status,
    duration: Date.now() - startedAt,
  });
  return withCors(request, answered, settings.allowedOrigins);
}

async function answer(context: RequestContext): Promise<Response> {
  const { request, url, settings } = context;
  if (isPreflight(request)) {
    return preflightResponse(request, settings.allowedOrigins);
  }
  // Load balancers and deployment gates poll the health page: they must never be turned away.
  if (url.pathname !== HEALTH_PATH) {
    await enforceRateLimit(context);
  }
  const match = router.match(request.method, url);
  switch (match.kind) {
    case 'found':
      return match.handler(context, match.params);
    case 'wrong-method':
      throw new MethodNotAllowedError(match.allow);
    case 'not-found':
      throw new NotFoundError();
  }
}

function withVersion(response: Response, env: Env, method: string): Response {
  const body = method === 'HEAD' ? null : response.body;
  const versioned = new Response(body, response);
  versioned.headers.set('x-version-id', env.CF_VERSION_METADATA.id);
  return versioned;
}
