// Runs benches; `npm run bench` sets them up. Method and meaning: docs/benchmarks.md.
//   run.ts [NAME ...]
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { BENCHES } from './benches.ts';
import { atExit } from './lib/at-exit.ts';
import { machine } from './lib/report.ts';

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(BENCHES);
const unknown = names.filter((name) => !Object.hasOwn(BENCHES, name));
if (unknown.length > 0) {
  const known = Object.keys(BENCHES).join(', ');
  throw new Error(`no such bench: ${unknown.join(', ')}; there are ${known}`);
}

// Beside the project and not in the system's directory for temporary files, which may be memory.
const parent = process.env['TIDEMARK_BENCH_DIR'] ?? path.join(import.meta.dirname, '../target');
const directory = mkdtempSync(path.join(parent, 'bench-'));
const remove = atExit(() => rmSync(directory, { recursive: true, force: true }));
await machine(directory);
for (const name of names) {
  const own = path.join(directory, name);
  mkdirSync(own);
  await BENCHES[name]?.(own);
}
remove();
