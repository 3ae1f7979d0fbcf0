/** An error whose message may be shown to the client. All others are answered as "unexpected". */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

export class ValidationError extends HttpError {
  constructor(readonly issues: readonly { readonly path: string; readonly message: string }[]) {
    super(400, 'Request is not valid');
  }
}

export class UnauthorizedError extends HttpError {
  constructor() {
    super(401, 'Authentication required', { 'WWW-Authenticate': 'Bearer' });
  }
}

export class ForbiddenError extends HttpError {
  constructor(message: string) {
    super(403, message);
  }
}

export class NotFoundError extends HttpError {
  constructor() {
    super(404, 'Not found');
  }
}

export class MethodNotAllowedError extends HttpError {
  constructor(allow: readonly string[]) {
    super(405, 'Method not allowed', { Allow: allow.join(', ') });
  }
}

export class TooManyRequestsError extends HttpError {
  constructor(retryAfterSeconds: number) {
    super(429, 'Too many requests', { 'Retry-After': String(retryAfterSeconds) });
  }
}
