import { insertEvents } from '../data/events';
import type { Env } from '../env';
import { createLogger, describeError } from '../log';
import { loadSettings } from '../settings';
import { progressEventSchema, type ProgressEvent } from './event';

/** Queues deliver at least once: `insertEvents` ignores ids that it has already seen. */
export async function consumeEvents(batch: MessageBatch, env: Env): Promise<void> {
  const log = createLogger(loadSettings(env).logLevel);
  const events: ProgressEvent[] = [];
  for (const message of batch.messages) {
    const event = progressEventSchema.safeParse(message.body);
    if (event.success) {
      events.push(event.data);
    } else {
      // Sending it round again cannot mend it.
      log.warn('message dropped', { id: message.id, reason: event.error.message });
    }
  }
  try {
    await insertEvents(env.DB, events);
    batch.ackAll();
  } catch (error) {
    log.error('batch will be retried', { messages: batch.messages.length, reason: describeError(error) });
    batch.retryAll();
  }
}
