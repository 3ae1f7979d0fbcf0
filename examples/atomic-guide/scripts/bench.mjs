// Measures dist/index.js in workerd, or a deployment (--url, BASE_URL), and writes the figures as JSON.
// Penstock's gate quality/benchmark compares them with those in .penstock/baseline: record one with
// `npm run build && npm run bench -- --out .penstock/baseline/NAME.json`.
import { writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { startLocalWorker } from './lib/local-worker.mjs';
import { createClient, readTarget } from './lib/target.mjs';

const SCENARIOS = {
  health: ['/health'],
  home: ['/'],
  'guide list': ['/api/guides'],
  guide: ['/api/guides/welcome'],
  'record progress': [
    '/api/progress',
    { method: 'POST', body: JSON.stringify({ learner: 'bench', lessonId: 'welcome-1', percent: 50 }) },
  ],
};

const WARM_UP = 3;

const target = readTarget({
  out: { type: 'string', default: path.join(process.env.PENSTOCK_REPORTS ?? '.', 'benchmark.json') },
  rounds: { type: 'string', default: '12' },
  requests: { type: 'string', default: '10' },
  concurrency: { type: 'string', default: '2' },
});
const rounds = Number(target.rounds);
const requests = Number(target.requests);
const concurrency = Number(target.concurrency);

const local = target.givenUrl ? undefined : await startLocalWorker();
try {
  const request = createClient({ ...target, baseUrl: local?.url ?? target.baseUrl });
  const measured = new Map(Object.keys(SCENARIOS).map((name) => [name, []]));
  // One sample is the median of a round, and rounds take turns: what disturbs the machine for a while disturbs all alike.
  for (let round = -WARM_UP; round < rounds; round += 1) {
    for (const [name, call] of Object.entries(SCENARIOS)) {
      const result = await measure(request, call, requests);
      if (round >= 0) {
        measured.get(name).push(result);
      }
    }
  }
  const benchmarks = [...measured].map(([name, results]) => summarise(name, results));
  console.table(benchmarks.map(({ name, errors, p50_ms, p95_ms }) => ({ name, errors, p50_ms, p95_ms })));
  const [{ model }] = os.cpus();
  const machine = `${os.platform()} ${os.arch()}, ${os.cpus().length} x ${model}, node ${process.versions.node.split('.')[0]}`;
  await writeFile(target.out, `${JSON.stringify({ machine, rounds, requests, concurrency, benchmarks }, null, 2)}\n`);
  process.exitCode = benchmarks.some(({ errors }) => errors > 0) ? 1 : 0;
} finally {
  await local?.stop();
}

async function measure(request, call, total) {
  const durations = [];
  let errors = 0;
  let left = total;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      const startedAt = performance.now();
      const response = await request(...call);
      await response.arrayBuffer();
      durations.push(performance.now() - startedAt);
      errors += response.ok ? 0 : 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { durations, errors };
}

function summarise(name, results) {
  const all = results.flatMap(({ durations }) => durations);
  return {
    name,
    unit: 'ms',
    better: 'lower',
    errors: results.reduce((sum, { errors }) => sum + errors, 0),
    p50_ms: percentile(all, 0.5),
    p95_ms: percentile(all, 0.95),
    samples: results.map(({ durations }) => percentile(durations, 0.5)),
  };
}

function percentile(durations, share) {
  const sorted = durations.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] * 1000) / 1000;
}
