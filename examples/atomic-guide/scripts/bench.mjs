// Measures dist/index.js in workerd, or a deployment (--url, BASE_URL), and writes the figures as JSON.
import { writeFile } from 'node:fs/promises';
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

const target = readTarget({
  out: { type: 'string', default: 'bench-results.json' },
  requests: { type: 'string', default: '200' },
  concurrency: { type: 'string', default: '4' },
});
const requests = Number(target.requests);
const concurrency = Number(target.concurrency);

const local = target.givenUrl ? undefined : await startLocalWorker();
try {
  const request = createClient({ ...target, baseUrl: local?.url ?? target.baseUrl });
  const scenarios = [];
  for (const [name, call] of Object.entries(SCENARIOS)) {
    await measure(request, call, Math.ceil(requests / 10));
    scenarios.push({ name, ...summarise(await measure(request, call, requests)) });
  }
  console.table(scenarios);
  await writeFile(target.out, `${JSON.stringify({ requests, concurrency, scenarios }, null, 2)}\n`);
  process.exitCode = scenarios.some(({ errors }) => errors > 0) ? 1 : 0;
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
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: concurrency }, worker));
  return { durations, errors, seconds: (performance.now() - startedAt) / 1000 };
}

function summarise({ durations, errors, seconds }) {
  const sorted = durations.toSorted((a, b) => a - b);
  const percentile = (share) => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]);
  return {
    errors,
    p50_ms: percentile(0.5),
    p95_ms: percentile(0.95),
    p99_ms: percentile(0.99),
    requests_per_second: round(sorted.length / seconds),
  };
}

function round(value) {
  return Math.round(value * 100) / 100;
}
