// Runs the tests of both languages, shows them as they come, and ends with one line that counts.
//
//   npm test [-- --rust | --node [filter or file ...]]
//   npm run interop [-- file ...]     beside other implementations, which it builds
//   npm run runtimes [-- ...]         the packed package on every runtime, which it installs
import { spawn } from 'node:child_process';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { SetupError, host, isMain, main, root, run, say, tool } from './lib/project.mjs';
import { tripleOf } from './lib/targets.mjs';
import { ensureAddon, ensureModules } from './setup.mjs';

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

/** Cargo's own summary of each test binary. */
const CARGO_RESULT = /^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored;/;
/** What a test binary prints that has nothing to run. */
const CARGO_NOISE = /^$|^running \d+ tests?$|^test result: ok\. 0 passed; 0 failed; 0 ignored;/;

/**
 * @param {string} line
 * @param {Counts} counts
 * @returns {string | undefined} what to show
 */
function readCargo(line, counts) {
  const result = CARGO_RESULT.exec(line);
  if (result !== null) {
    counts.passed += Number(result[1]);
    counts.failed += Number(result[2]);
    counts.skipped += Number(result[3]);
  }
  return CARGO_NOISE.test(line) ? undefined : line;
}

// A directive (`# SKIP`) means that the test did not count.
const TAP_TEST = /^(not )?ok \d+ - (.*?)(?: # (\w+).*)?$/;
const TAP_NOISE = /^$|^TAP version|^\d+\.\.\d+|^# (tests|pass|fail|skip)\b/;

/**
 * @param {string} line
 * @param {Counts} counts
 * @returns {string | undefined} what to show
 */
function readTap(line, counts) {
  const test = TAP_TEST.exec(line);
  if (test === null) return TAP_NOISE.test(line) ? undefined : line;
  const [, failed, title, directive] = test;
  if (directive !== undefined) counts.skipped += 1;
  else if (failed === undefined) counts.passed += 1;
  else counts.failed += 1;
  const verdict = directive?.toLowerCase() ?? (failed === undefined ? 'ok' : 'FAILED');
  return `test ${title} ... ${verdict}`;
}

/** Compares what processes get of a lock: whoever else wants a CPU takes it from one of them. */
const ALONE = ['__test__/hand-over.spec.ts'];

/** What the packages of runtimes/ run on. */
const RUNTIMES_TRIPLE = 'x86_64-unknown-linux-gnu';

const SUITES = {
  rust: {
    commands: (/** @type {string[]} */ filter) =>
      /** @type {[string, string[]][]} */ ([
        [
          'cargo',
          [
            ...['test', '--workspace', '--features', 'tidemark-core/planted-bugs'],
            ...['--no-fail-fast', ...filter],
          ],
        ],
      ]),
    read: readCargo,
  },
  node: { commands: specs('__test__/**/*.spec.ts', ALONE), read: readTap },
  interop: { commands: specs('interop/*.spec.ts'), read: readTap },
  runtimes: { commands: specs('runtimes/*.spec.ts'), read: readTap },
};

/**
 * The commands that run the specs of a pattern, or those that a filter names.
 * @param {string} pattern
 * @param {string[]} [alone] specs that have the machine to themselves
 * @returns {(filter: string[]) => [string, string[]][]}
 */
function specs(pattern, alone = []) {
  return (filter) => {
    if (filter.length > 0) {
      const named = filter.some((word) => !word.startsWith('-'));
      return [tool('ava', ['--tap', ...(named ? [] : [pattern]), ...filter])];
    }
    const others = [pattern, ...alone.map((spec) => `!${spec}`)];
    const lots = [others, ...alone.map((spec) => [spec])];
    return lots.map((lot) => tool('ava', ['--tap', ...lot]));
  };
}

/** The original, a Rust crate that takes minutes to build and seconds to find built. */
export function ensurePeers() {
  say('building the original for the consistency tests (from scratch it takes some minutes)');
  const manifest = ['--manifest-path', 'interop/aviso-peer/Cargo.toml'];
  const args = ['build', '--release', '--locked', '--quiet', ...manifest];
  if (!run('cargo', [...args, '--target-dir', 'target/aviso'])) {
    throw new SetupError('the original could not be built, see above');
  }
}

/**
 * The runtimes, as npm packages with the binary inside, and the addon as a release has it: against
 * an old C library. Both exist for 64-bit Linux on x86 alone.
 */
export async function ensureRuntimes() {
  const triple = tripleOf(host);
  if (triple !== RUNTIMES_TRIPLE) {
    throw new SetupError(`the runtimes of runtimes/ are for ${RUNTIMES_TRIPLE}: not tried`);
  }
  ensureModules('runtimes');
  say('building the addon of a release (from scratch it takes some minutes)');
  const { build } = await import('./prebuild.mjs');
  await build({ profile: 'release', triple, cross: 'napi' });
}

/** @typedef {'rust' | 'node' | 'interop' | 'runtimes'} Suite */

/**
 * One command of a suite.
 * @param {Suite} name
 * @param {[string, string[]]} command
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<Counts>}
 */
async function runCommand(name, [program, args], env) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const { read } = SUITES[name];
  const color = process.stdout.isTTY ? 'always' : 'auto';
  const child = spawn(program, args, {
    cwd: root,
    env: { CARGO_TERM_COLOR: color, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      const shown = stream === child.stdout ? read(line, counts) : line;
      if (shown !== undefined) process.stdout.write(`${shown}\n`);
    });
  }
  const ended = await new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(code === 0 ? undefined : `${signal ?? code}`));
  });
  // A suite that crashed, or that ran nothing, has not passed, whatever it counted.
  if (ended !== undefined && counts.failed === 0) {
    say(`the ${name} tests ended with ${ended}`);
    counts.failed += 1;
  } else if (ended === undefined && counts.passed === 0) {
    say(`the ${name} tests ran nothing`);
    counts.failed += 1;
  }
  return counts;
}

/**
 * Every suite, one after the other: they measure time and share two cores.
 * @param {Suite[]} names
 * @param {string[]} [filter]
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<Counts>}
 */
export async function runTests(names, filter = [], env = process.env) {
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const name of names) {
    process.stdout.write(`\n== ${name} tests ==\n`);
    for (const command of SUITES[name].commands(filter)) {
      const counts = await runCommand(name, command, env);
      total.passed += counts.passed;
      total.failed += counts.failed;
      total.skipped += counts.skipped;
    }
  }
  return total;
}

/**
 * The last line of a run. The exit code says the same.
 * @param {Counts} counts
 */
export function conclude({ passed, failed, skipped }) {
  const skips = skipped === 0 ? '' : `, ${skipped} skipped`;
  process.stdout.write(`\n${passed} passed, ${failed} failed${skips}\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (isMain(import.meta.url)) {
  const args = process.argv.slice(2);
  const flags = /** @type {Suite[]} */ (Object.keys(SUITES)).filter((name) =>
    args.includes(`--${name}`),
  );
  /** @type {Suite[]} */
  const names = flags.length === 0 ? ['rust', 'node'] : flags;
  const filter = args.filter((arg) => !Object.hasOwn(SUITES, arg.replace(/^--/, '')));
  await main(async () => {
    if (filter.length > 0 && flags.length !== 1) {
      throw new SetupError('a filter needs to know its suite: npm test -- --rust <filter>');
    }
    ensureModules();
    if (names.some((name) => name === 'node' || name === 'interop')) await ensureAddon();
    if (names.includes('interop')) ensurePeers();
    if (names.includes('runtimes')) await ensureRuntimes();
    conclude(await runTests(names, filter));
  });
}
