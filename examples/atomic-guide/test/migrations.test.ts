import { applyD1Migrations, reset } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { describe, expect, test } from 'vitest';
import { seed } from './support/seed';

async function rowCounts(): Promise<number[]> {
  const tables = ['courses', 'guides', 'lessons'];
  const counts = tables.map((table) => env.DB.prepare(`SELECT COUNT(*) AS count FROM ${table}`).first<number>('count'));
  return (await Promise.all(counts)).map(Number);
}

describe('migrations', () => {
  test('keep rows, and inserts, of the version before', async () => {
    const insertAsBefore = (slug: string) =>
      env.DB.prepare("INSERT INTO guides (id, course_id, slug, title, summary) VALUES (?1, 'c', ?1, 'T', 'S')").bind(slug);
    await reset();
    await applyD1Migrations(env.DB, env.TEST_MIGRATIONS.slice(0, 2));
    await env.DB.exec("INSERT INTO courses (id, title) VALUES ('c', 'C')");
    await insertAsBefore('before').run();
    await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
    await insertAsBefore('during').run();
    const { results } = await env.DB.prepare('SELECT slug, estimated_minutes AS minutes FROM guides ORDER BY slug').all();
    expect(results).toEqual([
      { slug: 'before', minutes: 0 },
      { slug: 'during', minutes: 0 },
    ]);
  });
});

describe('minimal seed', () => {
  test('may run again, and changes no row that is there', async () => {
    const before = await rowCounts();
    await env.DB.exec("UPDATE guides SET title = 'Edited' WHERE slug = 'welcome'");
    await seed(env.DB);
    expect(await rowCounts()).toEqual(before);
    const title = await env.DB.prepare("SELECT title FROM guides WHERE slug = 'welcome'").first('title');
    expect(title).toBe('Edited');
  });
});
