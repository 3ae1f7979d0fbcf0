// Runs a seed file against the database: `--remote` or `--local`, and `--env` as wrangler takes it.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    remote: { type: 'boolean', default: false },
    local: { type: 'boolean', default: false },
    env: { type: 'string' },
    'persist-to': { type: 'string' },
    // The only set there is; the production guide names it.
    minimal: { type: 'boolean', default: true },
  },
});
if (values.remote === values.local) {
  console.error('Say either --remote or --local.');
  process.exit(2);
}

const root = fileURLToPath(new URL('..', import.meta.url));
const wrangler = fileURLToPath(new URL('../node_modules/wrangler/bin/wrangler.js', import.meta.url));
const args = ['d1', 'execute', 'DB', values.remote ? '--remote' : '--local', '--file', 'seed/minimal.sql', '--yes'];
if (values.env !== undefined) {
  args.push('--env', values.env);
}
if (values['persist-to'] !== undefined) {
  args.push('--persist-to', values['persist-to']);
}
const { status } = spawnSync(process.execPath, [wrangler, ...args], { cwd: root, stdio: 'inherit' });
process.exitCode = status ?? 1;
