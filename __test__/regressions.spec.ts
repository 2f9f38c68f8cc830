// Defects that were found in review, each with the scenario that showed it.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import test, { type ExecutionContext } from 'ava';
import { FileLock, JsonFileStore, MemoryStore, ResumeKey } from '../index.ts';
import { tempDir } from './support/temp-dir.ts';

const key = ResumeKey.named('regressions');

/** More than the queue takes at once (GC-4): one operation may, when nothing else is in flight. */
function tooMany(): [ResumeKey, { lastCommittedSequence: number }][] {
  return Array.from({ length: 140_000 }, () => [key, { lastCommittedSequence: 1 }]);
}

test('putSync in the tick that filled the queue waits for room, and gets it', async (t) => {
  const store = await MemoryStore.open();
  const many = store.putMany(tooMany());
  t.true(store.putSync(key, { lastCommittedSequence: 2 }).applied);
  t.is((await many).length, 140_000);
  await store.close();
});

test('closeSync in the tick that filled the queue finishes what was accepted', async (t) => {
  const store = await MemoryStore.open();
  const many = store.putMany(tooMany());
  store.closeSync();
  t.is((await many).length, 140_000);
});

/**
 * Runs a program that puts into a store whose lock is held, into a free one, and exits at once.
 * Returns what the free one's file holds.
 */
async function exitBesideAHeldLock(
  t: ExecutionContext,
  exitDrainMs: number,
  more: string,
): Promise<string> {
  const directory = tempDir(t);
  const [held, free] = [path.join(directory, 'held.json'), path.join(directory, 'free.json')];
  const lock = await FileLock.acquire(`${held}.lock`);
  const index = path.join(import.meta.dirname, '..', 'index.ts');
  const program = `
    import { JsonFileStore, MemoryStore, ResumeKey } from ${JSON.stringify(index)};
    const key = ResumeKey.named('exit');
    const memory = await MemoryStore.open();
    const options = { exitDrainMs: ${exitDrainMs} };
    const held = await JsonFileStore.open(${JSON.stringify(held)}, options);
    const free = await JsonFileStore.open(${JSON.stringify(free)}, options);
    ${more}
    void held.put(key, { lastCommittedSequence: 1 });
    void free.put(key, { lastCommittedSequence: 1 });
    process.exit(0);`;
  const args = ['--import=tsx', '--no-warnings', '--input-type=module', '--eval', program];
  const child = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
  t.is(child.status, 0, child.stderr);
  lock.release();
  t.false(existsSync(held), 'nobody had the lock to write it');
  return existsSync(free) ? readFileSync(free, 'utf8') : 'nothing';
}

test('a store whose lock is held takes no time of the exit drain from another', async (t) => {
  // Large enough that it cannot be written while the process is already ending.
  const more = `
    const many = Array.from({ length: 60_000 }, (_, n) => ResumeKey.named(String(n)));
    void free.putMany(many.map((key) => [key, { lastCommittedSequence: 7 }]));`;
  t.regex(await exitBesideAHeldLock(t, 3000, more), /"last_committed_sequence": 7/);
});

test('a drain that was not in time does not keep later puts of other stores back', async (t) => {
  const more = `
    process.on('exit', () => {
      void memory.put(key, { lastCommittedSequence: 1 });
      void free.put(key, { lastCommittedSequence: 2 });
    });`;
  t.regex(await exitBesideAHeldLock(t, 200, more), /"last_committed_sequence": 2/);
});

test('no delete of ours is told as regressed, whatever reads beside it', async (t) => {
  const store = await JsonFileStore.open(path.join(tempDir(t), 'state.json'));
  store.on('regressed', (event) => t.fail(`regressed: ${event.key.hex}`));
  for (let round = 0; round < 150; round += 1) {
    await store.put(key, { lastCommittedSequence: 1 });
    const deleted = store.delete(key);
    while (store.size > 0) await store.get(key, { fresh: true });
    t.is(await deleted, 'deleted');
  }
  await store.close();
});

test('closeSync after close has begun finishes what was accepted', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  const store = await JsonFileStore.open(file);
  const put = store.put(key, { lastCommittedSequence: 7 });
  const closed = store.close();
  store.closeSync();
  t.regex(readFileSync(file, 'utf8'), /"last_committed_sequence": 7/);
  t.true((await put).applied);
  await closed;
});

test('many calls may share one AbortSignal: all hear it, and Node does not warn', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  const store = await JsonFileStore.open(file);
  const lock = await FileLock.acquire(`${file}.lock`);
  const warnings: string[] = [];
  const hear = (warning: Error): void => void warnings.push(warning.name);
  process.on('warning', hear);
  const controller = new AbortController();
  const { signal } = controller;
  const puts = Array.from({ length: 32 }, (_, n) => {
    return store.put(key, { lastCommittedSequence: n + 1 }, { signal });
  });
  const settled = Promise.allSettled(puts);
  controller.abort(new Error('all of you'));
  const outcomes = await settled;
  lock.release();
  await store.close();
  await new Promise(setImmediate);
  process.off('warning', hear);
  t.true(outcomes.every((outcome) => outcome.status === 'rejected'));
  t.false(warnings.includes('MaxListenersExceededWarning'), warnings.join());
});
