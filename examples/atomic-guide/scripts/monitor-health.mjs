// Polls the health page, one line a poll. Exits 1 when it is bad several times in a row.
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, readTarget } from './lib/target.mjs';

const target = readTarget({
  interval: { type: 'string', default: '5' },
  count: { type: 'string', default: '12' },
  tolerate: { type: 'string', default: '2' },
});
const intervalMs = Number(target.interval) * 1000;
const polls = Number(target.count);
const tolerated = Number(target.tolerate);
const request = createClient(target);

let failuresInARow = 0;
for (let poll = 1; poll <= polls && failuresInARow <= tolerated; poll += 1) {
  const { healthy, line } = await pollHealth();
  failuresInARow = healthy ? 0 : failuresInARow + 1;
  console.log(`${new Date().toISOString()} ${healthy ? 'ok  ' : 'FAIL'} ${line}`);
  if (poll < polls) {
    await sleep(intervalMs);
  }
}
process.exitCode = failuresInARow > tolerated ? 1 : 0;

async function pollHealth() {
  const startedAt = performance.now();
  try {
    const response = await request('/health');
    const { version, checks } = await response.json();
    const latencies = Object.entries(checks).map(([name, { status, latency }]) => `${name}=${status}/${latency}ms`);
    const took = Math.round(performance.now() - startedAt);
    return { healthy: response.ok, line: `${response.status} ${took} ms version=${version} ${latencies.join(' ')}` };
  } catch (error) {
    return { healthy: false, line: error.message || error.code };
  }
}
