// The long form of the kill tests, for as long as one likes.
//
//   npm run torture -- --minutes N [--rust] [--node] [--interop]
//
// The harnesses of both languages, and the one beside other implementations, run one after another
// and share the time; without a choice all three. SEED= begins with that seed. What is wrong ends
// it at once, with the seed of that round; the store and the journal of the round are kept.
import process from 'node:process';
import { SetupError, main, run, say } from './lib/project.mjs';
import { ensureAddon, ensureModules } from './setup.mjs';
import { ensurePeers } from './test.mjs';

const RUST = ['test', '--package', 'tidemark-core', '--features', 'planted-bugs'];
/** Those of one language share its time. */
const RUST_TESTS = ['process_kill_json_file', 'process_kill_wal'];
const PROGRAM = ['--import=tsx', '--no-warnings', 'interop/torture.ts'];

/** @typedef {'rust' | 'node' | 'interop'} Harness */
/** @type {Harness[]} */
const HARNESSES = ['rust', 'node', 'interop'];

/**
 * Runs one harness for some minutes.
 * @param {Harness} harness
 * @param {number} minutes
 */
function torture(harness, minutes) {
  say(`${harness}, for ${minutes.toFixed(1)} minutes`);
  const each = { TIDEMARK_TORTURE_MINUTES: String(minutes / RUST_TESTS.length) };
  const held =
    harness === 'rust'
      ? RUST_TESTS.every((test) => run('cargo', [...RUST, '--test', test, '--', 'told'], each))
      : run(process.execPath, [...PROGRAM, harness, String(minutes)]);
  if (!held) throw new SetupError(`${harness}: something was lost, see above`);
}

await main(async () => {
  const args = process.argv.slice(2);
  const given = args.indexOf('--minutes');
  const minutes = given < 0 ? 1 : Number(args[given + 1]);
  if (!(minutes > 0)) throw new SetupError('usage: npm run torture -- --minutes N');
  const chosen = HARNESSES.filter((harness) => args.includes(`--${harness}`));
  const harnesses = chosen.length === 0 ? HARNESSES : chosen;
  ensureModules();
  if (harnesses.some((harness) => harness !== 'rust')) await ensureAddon();
  if (harnesses.includes('interop')) ensurePeers();
  for (const harness of harnesses) torture(harness, minutes / harnesses.length);
});
