import { HttpError } from '../http/errors';

/** Turns D1's refusal of a row into an answer that the client can act on. */
export function explainConstraint(error: unknown, conflict: string, missingParent: string): unknown {
  const message = error instanceof Error ? error.message : '';
  if (message.includes('UNIQUE constraint failed')) {
    return new HttpError(409, conflict);
  }
  if (message.includes('FOREIGN KEY constraint failed')) {
    return new HttpError(422, missingParent);
  }
  return error;
}
