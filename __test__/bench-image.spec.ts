// The image on which the benches count what a sync costs (bench/lib/image.ts). What a log costs is
// judged by these counters, so they are shown to tell known patterns of writing apart: a
// file that grows costs two flushes and a commit of the journal, a file whose
// blocks are written one flush and none.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type Image, makeImage, parseCounters } from '../bench/lib/image.ts';
import { ended, start } from './support/child.ts';
import { root } from './support/compiled.ts';
import { tempDir } from './support/temp-dir.ts';

const BYTES = 64 << 20;
const BLOCK = new Uint8Array(4096).fill(0x5a);
const GROUPS = 50;

/** An image for one test; where none can be made, the reason in the log and nothing. */
function image(t: ExecutionContext): Image | undefined {
  try {
    const made = makeImage(tempDir(t), BYTES);
    t.teardown(() => {
      made.close();
    });
    return made;
  } catch (error) {
    t.log(`not tested: ${String(error)}`);
    t.pass();
    return undefined;
  }
}

/** Writes block after block, each with a sync of its own. */
function writeBlocks(file: number): void {
  for (let at = 0; at < GROUPS; at += 1) {
    fs.writeSync(file, BLOCK, 0, BLOCK.length, at * BLOCK.length);
    fs.fdatasyncSync(file);
  }
}

const mounts = (): string => fs.readFileSync('/proc/self/mounts', 'utf8');

// The journal commits by itself every 5 seconds: one more may fall between two readings.
const about = (value: number, to: number): boolean => Math.abs(value - to) <= 1.5 / GROUPS;

test('a file that grows costs 2 flushes and 1 commit, written blocks 1 and 0', async (t) => {
  const made = image(t);
  if (made === undefined) return;
  const file = fs.openSync(path.join(made.directory, 'file'), 'wx');
  const grown = await made.count(GROUPS, () => writeBlocks(file));
  const over = await made.count(GROUPS, () => writeBlocks(file));
  fs.closeSync(file);
  t.true(about(grown.flushes / 2, 1) && about(grown.journalCommits, 1), JSON.stringify(grown));
  t.true(grown.bytes > 2 * BLOCK.length, 'the journal is written as well');
  t.true(about(over.flushes, 1) && about(over.journalCommits, 0), JSON.stringify(over));
  t.true(over.bytes >= BLOCK.length && over.bytes < 2 * BLOCK.length, JSON.stringify(over));
});

test('what others left unwritten is not counted', async (t) => {
  const made = image(t);
  if (made === undefined) return;
  const dirty = fs.openSync(path.join(made.directory, 'dirty'), 'wx');
  fs.writeSync(dirty, new Uint8Array(8 << 20));
  const sync = (): unknown => spawnSync('sync', ['--file-system', made.directory]);
  const idle = await made.count(1, sync);
  fs.closeSync(dirty);
  t.true(idle.bytes < 1 << 20, JSON.stringify(idle));
});

for (const { how, args, signal, code } of [
  { how: 'is ended by SIGINT', args: [], signal: 'SIGINT', code: 130 },
  { how: 'is ended by SIGTERM', args: [], signal: 'SIGTERM', code: 143 },
  { how: 'throws', args: ['throw'], signal: undefined, code: 1 },
] as const) {
  test(`an image is gone when its process ${how} with a file open in it`, async (t) => {
    const possible = image(t);
    if (possible === undefined) return;
    possible.close();
    const directory = tempDir(t);
    const script = path.join(root, '__test__/support/image-child.ts');
    const options = { ipc: true, script, node: ['--import=tsx'] };
    const child = start(t, 'image-child.ts', [directory, String(BYTES), ...args], options);
    const end = ended(child);
    if (signal !== undefined) {
      const said = once(child, 'message').then(() => mounts());
      t.true((await Promise.race([said, end.then(() => '')])).includes(directory), 'mounted');
      child.kill(signal);
    }
    const { code: ending, stderr } = await end;
    t.is(ending, code, stderr);
    t.deepEqual(fs.readdirSync(directory), []);
    t.false(mounts().includes(directory));
  });
}

test('who cannot have an image is told why, before anything is written', (t) => {
  const directory = tempDir(t);
  const error = t.throws(() => makeImage(directory, 2 ** 50));
  t.regex(String(error), /only root|only Linux|half of what is free/);
  t.deepEqual(fs.readdirSync(directory), []);
});

test('the counters are those that the kernel documents', (t) => {
  const stat = ' 135 0 4278 26 7 0 12 1 0 16 28 0 0 0 0 9 1\n';
  const journal = '3 transactions (2 requested), each up to 2730 blocks\naverage: \n';
  t.deepEqual(parseCounters(stat, journal), { flushes: 9, journalCommits: 3, bytes: 12 * 512 });
  const old = ' 135 0 4278 26 7 0 12 1 0 16 28\n';
  t.throws(() => parseCounters(old, journal), { message: /does not count flushes/ });
  t.throws(() => parseCounters(stat, ''), { message: /does not say/ });
});
