import type { Settings } from './settings';

type Level = Settings['logLevel'];
type Fields = Record<string, unknown>;

const ORDER: readonly Level[] = ['debug', 'info', 'warn', 'error'];

export interface Logger {
  debug(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

/** One JSON object a line, because Logpush and `wrangler tail --format json` keep it searchable. */
export function createLogger(threshold: Level): Logger {
  const write = (level: Exclude<Level, 'info'>, message: string, fields: Fields = {}): void => {
    if (ORDER.indexOf(level) >= ORDER.indexOf(threshold)) {
      console[level](JSON.stringify({ level, message, ...fields }));
    }
  };
  return {
    debug: (message, fields) => { write('debug', message, fields); },
    warn: (message, fields) => { write('warn', message, fields); },
    error: (message, fields) => { write('error', message, fields); },
  };
}

export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
