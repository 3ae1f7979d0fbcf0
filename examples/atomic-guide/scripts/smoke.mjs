// Asks a deployment the questions that tell whether it works. Reads only.
import { strict as assert } from 'node:assert';
import { assertErrorShape, assertStatus, runChecks } from './lib/checks.mjs';
import { createClient, readTarget } from './lib/target.mjs';

const SECURITY_HEADERS = {
  'strict-transport-security': 'max-age=31536000; includeSubDomains; preload',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'SAMEORIGIN',
  'x-xss-protection': '1; mode=block',
  'referrer-policy': 'strict-origin-when-cross-origin',
  'content-security-policy':
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; " +
    "img-src 'self' data: https:; connect-src 'self' wss: https:; frame-ancestors *",
};
const DEPENDENCIES = ['database', 'durable_objects', 'kv', 'queue', 'r2'];

const target = readTarget();
const request = createClient(target);

console.log(`smoke test of ${target.baseUrl}`);

const passed = await runChecks({
  'health: every dependency is ok': async () => {
    const response = await request('/health');
    const body = await response.json();
    assert.ok(body.checks, `no checks in the answer ${response.status}: ${body.error}`);
    const broken = Object.entries(body.checks).filter(([, { status }]) => status !== 'ok');
    assert.deepEqual(broken.map(([name]) => name), [], `not ok: ${broken.map(([name]) => name)}`);
    assertStatus(response, 200);
    assert.equal(body.status, 'healthy');
    assert.deepEqual(Object.keys(body.checks).sort(), DEPENDENCIES);
  },

  'version: the header names the version that answers': async () => {
    const response = await request('/health');
    const { version } = await response.json();
    assert.match(version, /^[0-9a-f-]{36}$/, `version is "${version}"`);
    assert.equal(response.headers.get('x-version-id'), version);
    const expected = process.env.PENSTOCK_VERSION_ID;
    if (expected) {
      assert.equal(version, expected, `version ${version} answered, expected ${expected}`);
    }
  },

  'security headers: on pages and on errors': async () => {
    for (const path of ['/', '/no-such-page']) {
      const response = await request(path);
      for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
        assert.equal(response.headers.get(name), value, `${path} has ${name}: ${response.headers.get(name)}`);
      }
    }
  },

  'home page: lists guides from the database': async () => {
    const response = await request('/');
    assertStatus(response, 200);
    assert.match(response.headers.get('content-type'), /^text\/html/);
    const page = await response.text();
    assert.match(page, /<h1>Atomic Guide<\/h1>/);
    assert.match(page, /<li><a href="\/api\/guides\/|No guide is published yet/);
  },

  'guides API: every listed guide can be read': async () => {
    const response = await request('/api/guides?limit=3');
    assertStatus(response, 200);
    const { guides } = await response.json();
    assert.ok(Array.isArray(guides), 'guides is not a list');
    for (const { slug, title } of guides) {
      const guide = await request(`/api/guides/${slug}`);
      assertStatus(guide, 200);
      assert.equal((await guide.json()).title, title);
    }
  },

  'validation: a bad query is refused': async () => {
    await assertErrorShape(await request('/api/guides?limit=0'), 400);
  },

  'authentication: guides cannot be created without a token': async () => {
    await assertErrorShape(await request('/api/guides', { method: 'POST', body: '{}' }), 401);
  },

  'errors: an unknown page': async () => {
    await assertErrorShape(await request('/no-such-page'), 404);
  },

  'errors: a wrong method': async () => {
    const response = await request('/health', { method: 'POST' });
    await assertErrorShape(response, 405);
    assert.equal(response.headers.get('allow'), 'GET, HEAD');
  },

  'CORS: our own front end is let in': async () => {
    const response = await request('/api/guides', { headers: { Origin: target.origin } });
    const allowed = response.headers.get('access-control-allow-origin');
    assert.equal(allowed, target.origin, `allowed origin is ${allowed}, expected ${target.origin}`);
  },

  'CORS: another site is not': async () => {
    const origin = 'https://other-site.example';
    const response = await request('/api/guides', { headers: { Origin: origin } });
    assert.equal(response.headers.get('access-control-allow-origin'), null);
    const preflight = { Origin: origin, 'Access-Control-Request-Method': 'POST' };
    await assertErrorShape(await request('/api/progress', { method: 'OPTIONS', headers: preflight }), 403);
  },
});

process.exitCode = passed ? 0 : 1;
