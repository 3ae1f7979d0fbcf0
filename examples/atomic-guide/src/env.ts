import type { RateLimiter } from './limits/rate-limiter';

/** Everything the Worker is given by wrangler.jsonc and by `wrangler secret put`. */
export interface Env {
  DB: D1Database;
  GUIDE_CACHE: KVNamespace;
  LESSON_FILES: R2Bucket;
  RATE_LIMITER: DurableObjectNamespace<RateLimiter>;
  ANALYTICS_QUEUE: Queue;
  CF_VERSION_METADATA: WorkerVersionMetadata;

  ENVIRONMENT: string;
  LOG_LEVEL: string;
  DEBUG: string;
  ALLOWED_ORIGINS: string;
  RATE_LIMIT_PER_MINUTE: string;
  MAX_UPLOAD_BYTES: string;

  /** Absent until someone has run `wrangler secret put JWT_SECRET`. */
  JWT_SECRET?: string;
}
