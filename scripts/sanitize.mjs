// Runs specs on an addon that AddressSanitizer watches: what is freed too early or twice, or read
// past its end, in the binding above all, whose environments end whenever they like.
//
//   npm run sanitize [-- --short | file ...]
//
// --short is for `npm run check`: it runs what ends and tears down.
import process from 'node:process';
import { SetupError, isMain, main, outputOf, say } from './lib/project.mjs';
import { buildSanitized, checkConvicts, environment, reports } from './lib/sanitizer.mjs';
import { ensureModules } from './setup.mjs';
import { conclude, runTests } from './test.mjs';

const SHORT = ['teardown*', 'lifecycle', 'wal-lifecycle'];
// Not those that trace system calls, limit the address space or preload a library of their own.
const STORES = [
  ...['addon', 'checkpoint-store*', 'file-lock', 'json-file-store*', 'regressions', 'wal'],
  ...['wal-input', 'wal-iterate', 'wal-model', 'wal-queue', 'write-file-atomic'],
];
/** How much longer than without it a child may take before it counts as hanging. */
const SLOWDOWN = 10;

/**
 * Requires that Node loads this addon and no other, and that it is watched: it does not load where
 * nothing is preloaded.
 * @param {string} addon
 * @param {NodeJS.ProcessEnv} env
 */
function checkIsWatched(addon, env) {
  const find = `process.stdout.write(require('node-gyp-build').resolve('.'))`;
  const load = `require(${JSON.stringify(addon)})`;
  const node = (/** @type {string} */ script, /** @type {NodeJS.ProcessEnv} */ env) =>
    outputOf(process.execPath, ['--eval', script], env);
  if (node(find, env) !== addon) throw new SetupError(`sanitize: Node does not find ${addon}`);
  if (node(load, env) === undefined) throw new SetupError(`sanitize: Node cannot load ${addon}`);
  if (node(load, {}) !== undefined) throw new SetupError(`sanitize: ${addon} is not watched`);
}

/**
 * Builds the addon and runs the specs with it. A report counts as a failed test, whatever the test
 * says of it; so does whatever is missing.
 * @param {string[]} specs files; none means all that are fit for it
 * @param {NodeJS.ProcessEnv} [ours]
 * @returns {Promise<import('./test.mjs').Counts>}
 */
async function sanitize(specs, ours = {}) {
  const { env, addon } = environment();
  buildSanitized(addon);
  checkIsWatched(addon, env);
  checkConvicts(env);
  const files = specs.length > 0 ? specs : [...SHORT, ...STORES].map(fileOf);
  const watched = { ...process.env, ...env, ...ours, SLOWDOWN: String(SLOWDOWN) };
  const counts = await runTests(['node'], [...files, '--timeout=20m'], watched);
  const found = reports();
  for (const report of found) process.stdout.write(`\n${report}`);
  if (found.length > 0) say(`AddressSanitizer ended ${found.length} processes, see above`);
  return { ...counts, failed: counts.failed + found.length };
}

const fileOf = (/** @type {string} */ name) => `__test__/${name}.spec.ts`;

/** @returns {Promise<import('./test.mjs').Counts>} of the short form, for `npm run check` */
export async function sanitizeShort() {
  process.stdout.write('\n== with AddressSanitizer ==\n');
  try {
    return await sanitize(SHORT.map(fileOf), { TORTURE: '1' });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

if (isMain(import.meta.url)) {
  const args = process.argv.slice(2);
  await main(async () => {
    ensureModules();
    conclude(await (args.includes('--short') ? sanitizeShort() : sanitize(args)));
  });
}
