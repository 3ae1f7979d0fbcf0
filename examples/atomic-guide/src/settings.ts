import * as z from 'zod';
import type { Env } from './env';

const originList = z
  .string()
  .transform((text) => text.split(',').map((origin) => origin.trim()).filter((origin) => origin !== ''))
  .pipe(z.array(z.url()));

const settingsSchema = z
  .object({
    ENVIRONMENT: z.enum(['development', 'staging', 'production']),
    LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error']),
    DEBUG: z.stringbool(),
    ALLOWED_ORIGINS: originList,
    RATE_LIMIT_PER_MINUTE: z.coerce.number().int().min(0),
    MAX_UPLOAD_BYTES: z.coerce.number().int().positive(),
  })
  .transform((vars) => ({
    environment: vars.ENVIRONMENT,
    logLevel: vars.DEBUG ? ('debug' as const) : vars.LOG_LEVEL,
    allowedOrigins: vars.ALLOWED_ORIGINS,
    rateLimitPerMinute: vars.RATE_LIMIT_PER_MINUTE,
    maxUploadBytes: vars.MAX_UPLOAD_BYTES,
  }));

export type Settings = z.infer<typeof settingsSchema>;

/** Throws when a variable is missing or wrong, so a bad configuration fails the first smoke test. */
export function loadSettings(env: Env): Settings {
  return settingsSchema.parse(env);
}
