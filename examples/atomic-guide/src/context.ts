import type { Env } from './env';
import type { Logger } from './log';
import type { Settings } from './settings';

/** What every handler may use. Handlers get no other state. */
export interface RequestContext {
  readonly request: Request;
  readonly url: URL;
  readonly env: Env;
  readonly settings: Settings;
  readonly log: Logger;
  /** Work that may finish after the answer was sent. */
  readonly waitUntil: (work: Promise<unknown>) => void;
}
