import { env } from 'cloudflare:workers';
import { describe, expect, test, vi } from 'vitest';
import { broken, brokenDatabase } from './support/broken';
import { call, callWith, postJson } from './support/client';
import { expectError } from './support/expectations';
import { authorization } from './support/tokens';

const NEW_GUIDE = {
  slug: 'deep-work',
  title: 'Deep work',
  summary: 'One thing at a time',
  courseId: 'learning-basics',
  estimatedMinutes: 15,
  published: true,
  lessons: [
    { title: 'Plan', body: 'Choose.' },
    { title: 'Shut the door', body: 'Really.' },
  ],
};

async function create(guide: unknown): Promise<Response> {
  return callWith({}, '/api/guides', postJson(guide, await authorization()));
}

async function slugs(response: Response): Promise<string[]> {
  const { guides } = await response.json<{ guides: { slug: string }[] }>();
  return guides.map(({ slug }) => slug);
}

describe('GET /api/guides', () => {
  test('lists what is published, by title', async () => {
    await create({ ...NEW_GUIDE, published: false });
    const response = await callWith({}, '/api/guides');
    expect(await response.json()).toEqual({
      guides: [
        {
          slug: 'spaced-practice',
          title: 'Spaced practice',
          summary: 'Why short & regular beats long',
          courseId: 'learning-basics',
          estimatedMinutes: 25,
          lessons: 1,
        },
        expect.objectContaining({ slug: 'welcome', lessons: 2 }),
      ],
    });
  });

  test.each([
    ['?limit=1', ['spaced-practice']],
    ['?course=learning-basics', ['spaced-practice', 'welcome']],
    ['?course=another', []],
  ])('filters: %s', async (query, expected) => {
    expect(await slugs(await callWith({}, `/api/guides${query}`))).toEqual(expected);
  });

  test.each(['?limit=0', '?limit=101', '?limit=many', '?course=A%20B', '?page=2'])('refuses %s', async (query) => {
    const { issues } = await expectError(await callWith({}, `/api/guides${query}`), 400);
    expect(issues).toHaveLength(1);
  });

  test('reads the second time from the cache', async () => {
    const first = await callWith({}, '/api/guides');
    const second = await callWith({ DB: brokenDatabase() }, '/api/guides');
    expect(first.headers.get('x-guides-source')).toBe('database');
    expect(second.headers.get('x-guides-source')).toBe('cache');
    expect(await second.json()).toEqual(await first.json());
  });

  test('ignores a cache entry that another version wrote in another shape', async () => {
    await env.GUIDE_CACHE.put('guides:published:v1', JSON.stringify([{ name: 'old' }]));
    const response = await callWith({}, '/api/guides');
    expect(response.headers.get('x-guides-source')).toBe('database');
  });

  test('works without the cache', async () => {
    const log = vi.spyOn(console, 'error').mockReturnValue();
    const response = await callWith({ GUIDE_CACHE: broken() as KVNamespace }, '/api/guides');
    expect(await slugs(response)).toEqual(['spaced-practice', 'welcome']);
    expect(log).toHaveBeenCalledTimes(2);
  });
});

describe('GET /api/guides/:slug', () => {
  test('answers the guide and its lessons in order', async () => {
    const response = await call('/api/guides/welcome');
    expect(await response.json()).toMatchObject({
      slug: 'welcome',
      contents: [
        { id: 'welcome-1', position: 1 },
        { id: 'welcome-2', position: 2 },
      ],
    });
  });

  test('hides a guide that is not published', async () => {
    await create({ ...NEW_GUIDE, published: false });
    await expectError(await call('/api/guides/deep-work'), 404);
  });

  test("treats SQL in the slug as text, which is no guide's slug", async () => {
    await expectError(await call("/api/guides/welcome'%20OR%20'1'='1"), 404);
  });
});

describe('POST /api/guides', () => {
  test('stores the guide and its lessons', async () => {
    const created = await create(NEW_GUIDE);
    expect(created.status).toBe(201);
    expect(created.headers.get('Location')).toBe('/api/guides/deep-work');
    const stored = await call('/api/guides/deep-work');
    expect(await stored.json()).toMatchObject({
      title: 'Deep work',
      estimatedMinutes: 15,
      contents: [
        { position: 1, title: 'Plan', body: 'Choose.' },
        { position: 2, title: 'Shut the door', body: 'Really.' },
      ],
    });
  });

  test('shows the guide in the list at once', async () => {
    await callWith({}, '/api/guides');
    await create(NEW_GUIDE);
    expect(await slugs(await callWith({}, '/api/guides'))).toContain('deep-work');
  });

  test('fills in what may be left out', async () => {
    const { slug, title, summary, courseId } = NEW_GUIDE;
    const created = await create({ slug, title, summary, courseId });
    expect(await created.json()).toEqual({ slug, published: false });
  });

  test('keeps text that looks like SQL as text', async () => {
    const title = "Robert'); DROP TABLE guides;--";
    await create({ ...NEW_GUIDE, title });
    expect(await (await call('/api/guides/deep-work')).json()).toMatchObject({ title });
  });

  test('refuses a slug that is taken, and adds no lesson to it', async () => {
    await expectError(await create({ ...NEW_GUIDE, slug: 'welcome' }), 409);
    expect(await (await call('/api/guides/welcome')).json()).toMatchObject({ lessons: 2 });
  });

  test('refuses an unknown course', async () => {
    await expectError(await create({ ...NEW_GUIDE, courseId: 'no-such-course' }), 422);
  });

  test.each([
    ['slug', { ...NEW_GUIDE, slug: 'Not A Slug' }],
    ['title', { ...NEW_GUIDE, title: '   ' }],
    ['estimatedMinutes', { ...NEW_GUIDE, estimatedMinutes: -1 }],
    ['lessons.0.title', { ...NEW_GUIDE, lessons: [{ title: '', body: '' }] }],
    ['', '{"slug": '],
    ['', ''],
  ])('says what is wrong: "%s"', async (path, body) => {
    const { issues } = await expectError(await create(body), 400);
    expect(issues?.map((issue) => issue.path)).toEqual([path]);
  });

  test('refuses a body that is too large', async () => {
    await expectError(await create({ ...NEW_GUIDE, summary: 'x'.repeat(70_000) }), 413);
  });

  test('answers 500 when the database is down', async () => {
    vi.spyOn(console, 'error').mockReturnValue();
    const request = postJson(NEW_GUIDE, await authorization());
    await expectError(await callWith({ DB: brokenDatabase() }, '/api/guides', request), 500);
  });
});

describe('GET /api/courses', () => {
  test('counts the published guides', async () => {
    await create({ ...NEW_GUIDE, published: false });
    const response = await call('/api/courses');
    expect(await response.json()).toEqual({
      courses: [{ id: 'learning-basics', title: 'Learning basics', guides: 2 }],
    });
  });
});
