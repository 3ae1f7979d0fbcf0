import { exports } from 'cloudflare:workers';
import { expect, test } from 'vitest';
test('health', async () => {
  const r = await exports.default.fetch('https://guide.test/health');
  expect(await r.json()).toMatchObject({ status: 'healthy' });
  expect(r.status).toBe(200);
});
