import * as z from 'zod';
import type { RequestContext } from '../context';
import { describeError } from '../log';

export const progressEventSchema = z.object({
  type: z.literal('progress.recorded'),
  id: z.uuid(),
  learner: z.string(),
  lessonId: z.string(),
  percent: z.number(),
  recordedAt: z.iso.datetime(),
});

export type ProgressEvent = z.infer<typeof progressEventSchema>;

/** Analytics may lag or lose: the row that matters is already in D1, so the learner does not wait. */
export function publish({ env, log, waitUntil }: RequestContext, event: ProgressEvent): void {
  waitUntil(
    env.ANALYTICS_QUEUE.send(event).catch((error: unknown) => {
      log.error('event was not queued', { id: event.id, reason: describeError(error) });
    }),
  );
}
