import { readFile, readdir } from 'node:fs/promises';
import { Miniflare } from 'miniflare';
import { unstable_getMiniflareWorkerOptions, unstable_splitSqlQuery } from 'wrangler';

/** Starts dist/index.js in workerd with empty storage in memory, then migrates and seeds it. */
export async function startLocalWorker() {
  const { workerOptions } = unstable_getMiniflareWorkerOptions('wrangler.jsonc');
  const miniflare = new Miniflare({
    ...workerOptions,
    modules: true,
    scriptPath: 'dist/index.js',
    host: '127.0.0.1',
    port: 0,
    cf: false,
    bindings: { ...workerOptions.bindings, RATE_LIMIT_PER_MINUTE: '0' },
  });
  const url = await miniflare.ready;
  await prepareDatabase(await miniflare.getD1Database('DB'));
  return { url, stop: () => miniflare.dispose() };
}

async function prepareDatabase(database) {
  const migrations = (await readdir('migrations')).sort().map((name) => `migrations/${name}`);
  for (const file of [...migrations, 'seed/minimal.sql']) {
    const statements = unstable_splitSqlQuery(await readFile(file, 'utf8'));
    await database.batch(statements.map((statement) => database.prepare(statement)));
  }
}
