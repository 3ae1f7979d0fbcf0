import { expect } from 'vitest';

interface ErrorBody {
  readonly error: string;
  readonly requestId: string;
  readonly issues?: readonly { readonly path: string; readonly message: string }[];
}

/** Checks status and shape of an error answer, and returns the answer's body. */
export async function expectError(response: Response, status: number): Promise<ErrorBody> {
  const body: ErrorBody = await response.json();
  expect(body).toMatchObject({
    error: expect.any(String) as string,
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
    requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
  });
  expect(body).not.toHaveProperty('stack');
  expect(response.status).toBe(status);
  expect(response.headers.get('Content-Type')).toBe('application/json');
  return body;
}
