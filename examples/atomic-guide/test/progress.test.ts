import { createExecutionContext, createMessageBatch, getQueueResult } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, test, vi } from 'vitest';
import { consumeEvents } from '../src/events/consumer';
import { broken, brokenDatabase } from './support/broken';
import { call, callWith, postJson } from './support/client';
import { expectError } from './support/expectations';

const RECORD = { learner: 'ada', lessonId: 'welcome-1', percent: 40 };
const ID = '3f0c1f3e-5d0a-4b7e-9a51-0f6a4d1f2c3b';

function record(body: unknown, overrides = {}): Promise<Response> {
  return callWith(overrides, '/api/progress', postJson(body));
}

async function progressOf(learner: string, query = ''): Promise<{ records: number; events: number; lessons: unknown[] }> {
  const response = await call(`/api/progress/${learner}${query}`);
  expect(response.status).toBe(200);
  return response.json();
}

describe('POST /api/progress', () => {
  test('stores a record', async () => {
    const response = await record(RECORD);
    expect(response.status).toBe(201);
    expect(await response.json()).toEqual({
      ...RECORD,
      id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      recordedAt: expect.stringMatching(/Z$/) as string,
    });
    expect(await progressOf('ada')).toMatchObject({ records: 1 });
  });

  test('stores one row for every request', async () => {
    const responses = await Promise.all(Array.from({ length: 20 }, () => record(RECORD)));
    expect(responses.every(({ status }) => status === 201)).toBe(true);
    expect(await progressOf('ada')).toMatchObject({ records: 20 });
  });

  test('stores a retried record once', async () => {
    expect((await record({ ...RECORD, id: ID })).status).toBe(201);
    const retried = await record({ ...RECORD, id: ID });
    expect(retried.status).toBe(200);
    expect(await retried.json()).toEqual({ id: ID, duplicate: true });
    expect(await progressOf('ada')).toMatchObject({ records: 1 });
  });

  test('refuses an unknown lesson', async () => {
    await expectError(await record({ ...RECORD, lessonId: 'no-such-lesson' }), 422);
  });

  test.each([
    ['learner', { ...RECORD, learner: '<script>' }],
    ['lessonId', { ...RECORD, lessonId: '' }],
    ['percent', { ...RECORD, percent: 101 }],
    ['percent', { ...RECORD, percent: '40' }],
    ['id', { ...RECORD, id: 'mine' }],
  ])('refuses a wrong %s', async (path, body) => {
    const { issues } = await expectError(await record(body), 400);
    expect(issues?.map((issue) => issue.path)).toEqual([path]);
  });

  test('keeps the record when the queue is down', async () => {
    const log = vi.spyOn(console, 'error').mockReturnValue();
    expect((await record(RECORD, { ANALYTICS_QUEUE: broken() as Queue })).status).toBe(201);
    expect(await progressOf('ada')).toMatchObject({ records: 1 });
    expect(log).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('event was not queued'));
  });
});

describe('GET /api/progress/:learner', () => {
  test('answers the latest record of each lesson, newest first', async () => {
    const insert = env.DB.prepare('INSERT INTO progress (id, learner, lesson_id, percent, recorded_at) VALUES (?, ?, ?, ?, ?)');
    await env.DB.batch([
      insert.bind('a', 'ada', 'welcome-1', 80, '2026-01-02T00:00:00.000Z'),
      insert.bind('b', 'ada', 'welcome-1', 20, '2026-01-01T00:00:00.000Z'),
      insert.bind('c', 'ada', 'welcome-2', 10, '2026-01-03T00:00:00.000Z'),
      insert.bind('d', 'bob', 'welcome-2', 99, '2026-01-04T00:00:00.000Z'),
    ]);
    const { records, lessons } = await progressOf('ada');
    expect(records).toBe(3);
    expect(lessons).toEqual([
      { lessonId: 'welcome-2', percent: 10, recordedAt: '2026-01-03T00:00:00.000Z' },
      { lessonId: 'welcome-1', percent: 80, recordedAt: '2026-01-02T00:00:00.000Z' },
    ]);
    expect((await progressOf('ada', '?limit=1')).lessons).toHaveLength(1);
  });

  test('is empty for a learner who has not begun', async () => {
    expect(await progressOf('nobody')).toEqual({ learner: 'nobody', records: 0, events: 0, lessons: [] });
  });

  test('refuses a wrong limit and a name that cannot be', async () => {
    await expectError(await call('/api/progress/ada?limit=0'), 400);
    await expectError(await call('/api/progress/a.b'), 404);
  });
});

describe('analytics queue', () => {
  test('takes the event of a new record to the database', async () => {
    const response = await call('/api/progress', postJson(RECORD));
    const { id } = await response.json<{ id: string }>();
    await vi.waitFor(
      async () => {
        const stored = await env.DB.prepare('SELECT type, percent FROM events WHERE id = ?').bind(id).first();
        expect(stored).toEqual({ type: 'progress.recorded', percent: 40 });
      },
      { timeout: 8_000, interval: 100 },
    );
  }, 10_000);
});

describe('consumeEvents', () => {
  const event = { type: 'progress.recorded', id: ID, ...RECORD, recordedAt: '2026-01-01T00:00:00.000Z' };

  function message(id: string, body: unknown): ServiceBindingQueueMessage {
    return { id, timestamp: new Date(), attempts: 1, body };
  }

  async function consume(messages: ServiceBindingQueueMessage[], overrides = {}): Promise<FetcherQueueResult> {
    const batch = createMessageBatch('atomic-guide-analytics-dev', messages);
    const execution = createExecutionContext();
    await consumeEvents(batch, { ...env, ...overrides });
    return getQueueResult(batch, execution);
  }

  test('stores an event that is delivered twice once', async () => {
    const result = await consume([message('1', event), message('2', event)]);
    expect(result).toMatchObject({ ackAll: true, retryBatch: { retry: false } });
    expect(await progressOf('ada')).toMatchObject({ events: 1 });
  });

  test('drops what it cannot read and stores the rest', async () => {
    const log = vi.spyOn(console, 'warn').mockReturnValue();
    const result = await consume([message('1', { type: 'unknown' }), message('2', event)]);
    expect(result.ackAll).toBe(true);
    expect(await progressOf('ada')).toMatchObject({ events: 1 });
    expect(log).toHaveBeenCalledExactlyOnceWith(expect.stringContaining('"id":"1"'));
  });

  test('stores nothing for a batch without a readable message', async () => {
    vi.spyOn(console, 'warn').mockReturnValue();
    expect((await consume([message('1', 'text')])).ackAll).toBe(true);
  });

  test('asks for the batch again when the database is down', async () => {
    vi.spyOn(console, 'error').mockReturnValue();
    const result = await consume([message('1', event)], { DB: brokenDatabase() });
    expect(result).toMatchObject({ ackAll: false, retryBatch: { retry: true } });
  });
});
