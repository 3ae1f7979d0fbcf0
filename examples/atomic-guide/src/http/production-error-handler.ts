import { HttpError, ValidationError } from './errors';
import { json } from './json';

export class ProductionErrorHandler {
  /** Answers with the guide's shape: what happened, when, and an id to find it in the logs. Never a stack. */
  static handle(error: unknown, request: Request): Response {
    const timestamp = new Date().toISOString();
    const requestId = crypto.randomUUID();
    if (error instanceof HttpError) {
      const issues = error instanceof ValidationError ? { issues: error.issues } : {};
      return json(
        { error: error.message, ...issues, timestamp, requestId },
        { status: error.status, headers: error.headers },
      );
    }
    logUnexpected(error, request, timestamp, requestId);
    return json({ error: 'An unexpected error occurred', timestamp, requestId }, { status: 500 });
  }
}

function logUnexpected(error: unknown, request: Request, timestamp: string, requestId: string): void {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  console.error('Production error:', {
    message,
    stack,
    url: request.url,
    method: request.method,
    timestamp,
    requestId,
    userAgent: request.headers.get('User-Agent'),
  });
}
