import { describe, expect, test, vi } from 'vitest';
import { callWith, postJson } from './support/client';
import { expectError } from './support/expectations';
import { authorization, inOneMinute, signToken } from './support/tokens';

const CLAIMS = { sub: 'ada', role: 'author', exp: inOneMinute() };

function createWith(headers: Record<string, string>, overrides = {}): Promise<Response> {
  return callWith(overrides, '/api/guides', postJson({}, headers));
}

function tamper(token: string): string {
  const [header, , signature] = token.split('.');
  return `${header ?? ''}.${btoa(JSON.stringify({ ...CLAIMS, sub: 'eve' }))}.${signature ?? ''}`;
}

describe('authors', () => {
  test('are let in with a good token', async () => {
    // 400 and not 401: the token was accepted, the empty guide was not.
    await expectError(await createWith(await authorization()), 400);
  });

  test('are refused without a token', async () => {
    const response = await createWith({});
    await expectError(response, 401);
    expect(response.headers.get('WWW-Authenticate')).toBe('Bearer');
  });

  test('are refused with another role', async () => {
    await expectError(await createWith(await authorization({ role: 'learner' })), 403);
  });

  const badTokens: [string, () => string | Promise<string>][] = [
    ['signed with another key', () => signToken(CLAIMS, { alg: 'HS256' }, 'another-secret-0123456789abcdef-012345')],
    ['of the algorithm "none"', () => signToken(CLAIMS, { alg: 'none' })],
    ['changed after it was signed', async () => tamper(await signToken(CLAIMS))],
    ['past its date', () => signToken({ ...CLAIMS, exp: Math.floor(Date.now() / 1000) })],
    ['without a date', () => signToken({ sub: 'ada', role: 'author' })],
    ['without a subject', () => signToken({ ...CLAIMS, sub: '' })],
    ['with its signature cut off', async () => (await signToken(CLAIMS)).replace(/\.[^.]*$/, '.')],
    ['with two parts', () => 'a.b'],
    ['with a fourth part', async () => `${await signToken(CLAIMS)}.x`],
    ['of characters that are not base64', () => '!.!.!'],
    ['with a header that is not JSON', () => `${btoa('no')}.${btoa('no')}.x`],
  ];

  test.each(badTokens)('are refused with a token %s', async (_, token) => {
    await expectError(await createWith({ Authorization: `Bearer ${await token()}` }), 401);
  });

  test('are refused with another scheme', async () => {
    await expectError(await createWith({ Authorization: `Basic ${await signToken(CLAIMS)}` }), 401);
  });

  test.each([undefined, '', 'short'])('cannot come in while JWT_SECRET is %j', async (secret) => {
    const log = vi.spyOn(console, 'error').mockReturnValue();
    await expectError(await createWith(await authorization(), { JWT_SECRET: secret }), 500);
    expect(log).toHaveBeenCalledWith(
      'Production error:',
      expect.objectContaining({ message: 'JWT_SECRET must be set and have 32 characters or more' }),
    );
  });
});
