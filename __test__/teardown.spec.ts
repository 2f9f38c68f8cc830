// Whatever ends a process, what it had accepted is there, and nothing aborts or hangs: promise 6 of
// the README. Accepted means enqueued, and the exit drain covers that.
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import test, { type ExecutionContext } from 'ava';
import { type Start, ended, start } from './support/child.ts';
import { compiled } from './support/compiled.ts';
import { Random, seed } from './support/random.ts';
import { tempDir } from './support/temp-dir.ts';
import { KIND_NAMES, lostOf } from './teardown/accepted.ts';

/** Starts a program of `teardown/`; a watchdog bounds it. */
const run = (
  t: ExecutionContext,
  program: string,
  args: readonly (string | number)[],
  how?: Start,
): ChildProcess => {
  const script = compiled(`__test__/teardown/${program}.ts`);
  return start(t, '', args.map(String), { ...how, script });
};

/** Requires that all that was accepted is there, and that it was not nothing. */
async function allThere(t: ExecutionContext, journal: string): Promise<void> {
  const { lost, accepted } = await lostOf(journal);
  t.true(accepted > 0, 'nothing was accepted');
  t.deepEqual(lost, [], `${lost.length} of ${accepted} were lost, SEED=${seed}`);
}

/** How a process ends, and with which code. */
const WAYS: readonly [string, number][] = [
  ['natural end', 0],
  ['process.exit', 0],
  ['process.exit in a microtask', 0],
  ['uncaught error', 1],
  ['unhandled rejection', 1],
  ['exit code and natural end', 7],
  ['beforeExit that accepts more', 0],
  ['exit handler that accepts more', 0],
  ['close, then process.exit', 0],
  ['closeSync, then an uncaught error', 1],
  ['process.exit beside much else', 0],
];
/** Ticks in which a process may have accepted changes before it ends. */
const TICKS_MAX = 12;

const random = new Random(seed);
for (const kind of KIND_NAMES) {
  for (const [way, expected] of WAYS) {
    const ticks = random.below(TICKS_MAX);
    test(`${kind}: what was accepted is there after its process ended: ${way}`, async (t) => {
      const directory = tempDir(t);
      const journal = path.join(directory, 'journal');
      const place = path.join(directory, 'store');
      const child = run(t, 'ends', [kind, way, place, journal, ticks]);
      const { code, signal, stderr } = await ended(child);
      t.deepEqual([code, signal], [expected, null], `${stderr} SEED=${seed}`);
      await allThere(t, journal);
    });
  }
}

test('stores and locks collected as garbage give all back, and lose nothing', async (t) => {
  const directory = tempDir(t);
  const journal = path.join(directory, 'journal');
  const stores = tempDir(t);
  const child = run(t, 'collected', [stores, journal], { node: ['--expose-gc'] });
  const { code, signal, stdout, stderr } = await ended(child);
  t.deepEqual([code, signal], [0, null], stderr);
  t.deepEqual(JSON.parse(stdout), { alive: 0, open: [], threads: 0, locked: 0 });
  await allThere(t, journal);
});

/** Waves of 25 worker threads each. */
const WAVES = 8;
/** Longer than the others: it does much. */
const STORM_MS = 110_000;
/** Storms of 200 worker threads. */
const STORMS = Number(process.env['TORTURE'] ?? 1);

for (let storm = 0; storm < STORMS; storm += 1) {
  const title = `a storm of 200 terminations takes nothing and leaves nothing behind: ${storm}`;
  test.serial(title, async (t) => {
    const stores = tempDir(t);
    const journal = path.join(tempDir(t), 'journal');
    const child = run(t, 'storm', [stores, journal, WAVES, seed + storm]);
    const { code, signal, stdout, stderr } = await ended(child, STORM_MS);
    t.deepEqual([code, signal], [0, null], `${stderr} SEED=${seed + storm}`);
    const { wrong, left, leaked } = JSON.parse(stdout) as Record<string, unknown>;
    t.deepEqual(wrong, [], `SEED=${seed + storm}`);
    t.deepEqual(left, { open: [], own: 0 });
    t.deepEqual(leaked, { descriptors: 0, tasks: 0 });
    t.true(existsSync(path.join(stores, '0.held.json')), 'a lock was waited for, and was had');
    await allThere(t, journal);
  });
}
