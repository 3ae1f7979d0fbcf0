import { DurableObject } from 'cloudflare:workers';

const WINDOW_MS = 60_000;
const WINDOW_KEY = 'window';

interface CountedWindow {
  readonly startedAt: number;
  readonly requests: number;
}

export interface RateLimitDecision {
  readonly allowed: boolean;
  readonly retryAfterSeconds: number;
}

/** Counts the requests of one client in fixed windows of one minute. */
export class RateLimiter extends DurableObject {
  async take(limit: number): Promise<RateLimitDecision> {
    const now = Date.now();
    const current = this.openWindow(now) ?? (await this.startWindow(now));
    if (current.requests >= limit) {
      return { allowed: false, retryAfterSeconds: Math.ceil((current.startedAt + WINDOW_MS - now) / 1000) };
    }
    this.store({ ...current, requests: current.requests + 1 });
    return { allowed: true, retryAfterSeconds: 0 };
  }

  /** Proves that the object answers and that its storage can be read. */
  ping(): 'ok' {
    this.ctx.storage.sql.exec('SELECT 1').one();
    return 'ok';
  }

  /** A client that went away must not be stored, or billed, for ever. */
  override async alarm(): Promise<void> {
    await this.ctx.storage.deleteAll();
  }

  private openWindow(now: number): CountedWindow | undefined {
    const stored = this.ctx.storage.kv.get<CountedWindow>(WINDOW_KEY);
    return stored !== undefined && now < stored.startedAt + WINDOW_MS ? stored : undefined;
  }

  private async startWindow(now: number): Promise<CountedWindow> {
    await this.ctx.storage.setAlarm(now + WINDOW_MS);
    return { startedAt: now, requests: 0 };
  }

  private store(counted: CountedWindow): void {
    this.ctx.storage.kv.put(WINDOW_KEY, counted);
  }
}
