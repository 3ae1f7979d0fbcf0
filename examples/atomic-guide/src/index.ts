import { handleRequest } from './app';
import type { Env } from './env';
import { consumeEvents } from './events/consumer';

export { RateLimiter } from './limits/rate-limiter';

export default {
  fetch: handleRequest,
  queue: consumeEvents,
} satisfies ExportedHandler<Env>;
