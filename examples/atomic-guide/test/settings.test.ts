import { env } from 'cloudflare:workers';
import { describe, expect, test, vi } from 'vitest';
import { createLogger, describeError } from '../src/log';
import { loadSettings } from '../src/settings';
import { callWith } from './support/client';

describe('settings', () => {
  test('are read from the variables', () => {
    const vars = { ALLOWED_ORIGINS: ' https://a.example,,https://b.example ', RATE_LIMIT_PER_MINUTE: '200' };
    expect(loadSettings({ ...env, ...vars })).toEqual({
      environment: 'development',
      logLevel: 'info',
      allowedOrigins: ['https://a.example', 'https://b.example'],
      rateLimitPerMinute: 200,
      maxUploadBytes: 1_048_576,
    });
  });

  test.each([
    { ENVIRONMENT: 'prod' },
    { LOG_LEVEL: 'loud' },
    { DEBUG: 'maybe' },
    { ALLOWED_ORIGINS: '*' },
    { RATE_LIMIT_PER_MINUTE: '-1' },
    { MAX_UPLOAD_BYTES: '1.5' },
  ])('refuse $#: %j', (vars) => {
    expect(() => loadSettings({ ...env, ...vars })).toThrow(Object.keys(vars)[0]);
  });
});

describe('log', () => {
  test('leaves out what is below the threshold', () => {
    const warn = vi.spyOn(console, 'warn').mockReturnValue();
    const error = vi.spyOn(console, 'error').mockReturnValue();
    const log = createLogger('error');
    log.warn('quiet');
    log.error('loud', { id: 7 });
    expect(warn).not.toHaveBeenCalled();
    expect(error).toHaveBeenCalledExactlyOnceWith('{"level":"error","message":"loud","id":7}');
  });

  test('has a line for each request while DEBUG is on', async () => {
    const debug = vi.spyOn(console, 'debug').mockReturnValue();
    await callWith({ DEBUG: 'true' }, '/nowhere');
    expect(debug).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('"path":"/nowhere","status":404'));
  });

  test('describes whatever was thrown', () => {
    expect([describeError(new Error('bad')), describeError('plain')]).toEqual(['bad', 'plain']);
  });
});
