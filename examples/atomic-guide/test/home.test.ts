import { env } from 'cloudflare:workers';
import { describe, expect, test } from 'vitest';
import { call } from './support/client';

describe('home page', () => {
  test('lists the guides in the database', async () => {
    const response = await call('/');
    expect(response.headers.get('Content-Type')).toBe('text/html; charset=utf-8');
    const page = await response.text();
    expect(page).toContain('<li><a href="/api/guides/welcome">Welcome to Atomic Guide</a>');
    expect(page).toContain('Why short &amp; regular beats long (1 lessons, 25 min)');
  });

  test('shows markup in a guide as text', async () => {
    const title = `<script>alert("x")</script> & 'more'`;
    await env.DB.prepare("UPDATE guides SET title = ? WHERE slug = 'welcome'").bind(title).run();
    const page = await (await call('/')).text();
    expect(page).not.toContain('<script>');
    expect(page).toContain('&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#39;more&#39;');
  });

  test('says so when there is no guide', async () => {
    await env.DB.exec('UPDATE guides SET published = 0');
    expect(await (await call('/')).text()).toContain('No guide is published yet.');
  });
});
