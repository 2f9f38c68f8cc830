// A disk that is full, or may not be written to: docs/durability.md ("disk full: TIDEMARK_NO_SPACE,
// definite; the store stays usable"), JF-7, JF-8, AW-3. On real tmpfs mounts where root can make
// them; elsewhere the limit on the size of a file stands in for a full disk, and the log says so.
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  FileLock,
  JsonFileStore,
  ResumeKey,
  type TidemarkError,
  writeFileAtomic,
} from '../index.ts';
import { limit, remount, smallFileSystem } from './support/limits.ts';
import { picture } from './support/picture.ts';
import { stateText } from './support/state-file.ts';
import { openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';
import { rejection } from './support/wait.ts';

const orders = ResumeKey.named('orders');
const at = (sequence: number, lastEventId: string | null = null) => ({
  lastCommittedSequence: sequence,
  lastEventId,
});
/** An event id that takes its part of a small disk. */
const LONG = 'x'.repeat(60_000);

/** Closes a store before its file system goes. */
async function openOn(t: ExecutionContext, directory: string): Promise<JsonFileStore> {
  const store = await JsonFileStore.open(path.join(directory, 'state.json'));
  t.teardown(() => store.close());
  return store;
}

function definite(t: ExecutionContext, error: unknown, expected: object): void {
  t.like(error, expected);
  t.false('indeterminate' in (error as TidemarkError), 'definite');
}

const names = (directory: string): string[] => readdirSync(directory).sort();

test.serial(
  'a full disk: definite, nothing is left, and freed again the store goes on',
  async (t) => {
    const directory = smallFileSystem(t, 'size=256k');
    if (directory === undefined) {
      t.pass('the limit on the size of a file, below, remains');
      return;
    }
    const store = await openOn(t, directory);
    await store.put(orders, at(1, 'one'));
    const file = path.join(directory, 'state.json');
    const written = path.join(directory, 'written');
    await writeFileAtomic(written, 'old');
    // Old and new file must both find room.
    writeFileSync(path.join(directory, 'ballast'), Buffer.alloc(200_000));
    const before = picture(directory);
    const expected = { code: 'TIDEMARK_NO_SPACE', errno: 28 };
    const many = [1, 2].map((part) => [ResumeKey.named(`${part}`), at(2, LONG)] as const);
    definite(t, await rejection(store.put(orders, at(2, LONG))), expected);
    definite(t, await rejection(store.tryPut(orders, at(2, LONG)) ?? Promise.resolve()), expected);
    definite(t, await rejection(store.putMany(many)), expected);
    definite(
      t,
      t.throws(() => store.putSync(orders, at(2, LONG))),
      expected,
    );
    for (const durable of [true, false]) {
      definite(t, await rejection(writeFileAtomic(written, LONG, { durable })), expected);
    }
    t.deepEqual(picture(directory), before, 'neither file nor temporary');
    t.deepEqual(store.getSync(orders), { lastCommittedSequence: 1n, lastEventId: 'one' });
    t.deepEqual(await store.get(orders, { fresh: true }), store.getSync(orders));
    t.true((await store.put(orders, at(2, 'two'))).applied, 'what fits is taken');
    rmSync(path.join(directory, 'ballast'));
    t.true((await store.put(orders, at(3, LONG))).applied, 'the same store goes on');
    await writeFileAtomic(written, LONG);
    t.is(readFileSync(written, 'utf8'), LONG);
    t.is(readFileSync(file, 'utf8'), stateText([[orders, 3n, LONG]]));
    t.deepEqual(names(directory), ['state.json', 'state.json.lock', 'written']);
    await store.close();
  },
);

test.serial('a disk without inodes: no lock file, no temporary, and freed again', async (t) => {
  const directory = smallFileSystem(t, 'size=1m,nr_inodes=4');
  if (directory === undefined) {
    t.pass('the limit on the size of a file, below, remains');
    return;
  }
  // The directory itself takes one.
  const ballast = ['a', 'b', 'c'].map((name) => path.join(directory, name));
  for (const file of ballast) writeFileSync(file, '');
  const store = await openOn(t, directory);
  const expected = { code: 'TIDEMARK_NO_SPACE', errno: 28 };
  const before = picture(directory);
  definite(t, await rejection(store.put(orders, at(1))), expected);
  definite(t, await rejection(FileLock.acquire(path.join(directory, 'lock'))), expected);
  definite(
    t,
    t.throws(() => FileLock.tryAcquire(path.join(directory, 'lock'))),
    expected,
  );
  definite(t, await rejection(writeFileAtomic(path.join(directory, 'new'), '')), expected);
  definite(t, await rejection(writeFileAtomic(ballast[0] ?? '', 'new')), expected);
  t.deepEqual(picture(directory), before);
  rmSync(ballast.pop() ?? '');
  // There is room for the lock file now, and none for a temporary.
  definite(t, await rejection(store.put(orders, at(1))), expected);
  t.deepEqual(names(directory), ['a', 'b', 'state.json.lock']);
  rmSync(ballast.pop() ?? '');
  t.true((await store.put(orders, at(1))).applied);
  definite(t, await rejection(store.put(orders, at(2))), expected);
  t.deepEqual(names(directory), ['a', 'state.json', 'state.json.lock']);
  t.is(store.getSync(orders)?.lastCommittedSequence, 1n);
  rmSync(ballast.pop() ?? '');
  t.true((await store.put(orders, at(2))).applied);
  await store.close();
});

test.serial('a disk that is remounted read-only: it is read, and not written', async (t) => {
  const directory = smallFileSystem(t, 'size=1m');
  if (directory === undefined) {
    t.pass('a read-only directory is in bad-input-permissions');
    return;
  }
  const first = await openOn(t, directory);
  await first.put(orders, at(1));
  // An open lock file keeps the mount writable.
  await first.close();
  const store = await openOn(t, directory);
  remount(directory, 'ro');
  const before = picture(directory);
  const expected = { code: 'TIDEMARK_IO', errno: 30 };
  definite(t, await rejection(store.put(orders, at(2))), expected);
  definite(t, await rejection(store.delete(orders)), expected);
  definite(t, await rejection(writeFileAtomic(path.join(directory, 'new'), 'x')), expected);
  definite(t, await rejection(FileLock.acquire(path.join(directory, 'new'))), expected);
  t.is((await store.get(orders, { fresh: true }))?.lastCommittedSequence, 1n);
  await store.close();
  const again = await openOn(t, directory);
  t.is(again.getSync(orders)?.lastCommittedSequence, 1n, 'JF-8: reading needs no lock file');
  t.like(await rejection(again.put(orders, at(2))), expected);
  t.deepEqual(picture(directory), before);
  remount(directory, 'rw');
  t.true((await again.put(orders, at(2))).applied);
  await again.close();
});

test.serial('a file that would pass the limit on its size: EFBIG, and no signal', async (t) => {
  const { store, file } = await openJson(t);
  const directory = path.dirname(file);
  const written = path.join(directory, 'written');
  await store.put(orders, at(1, 'one'));
  await writeFileAtomic(written, 'old');
  const before = picture(directory);
  limit('fsize', 40_000);
  t.teardown(() => {
    limit('fsize', 'unlimited');
  });
  const expected = { code: 'TIDEMARK_IO', errno: 27, syscall: 'pwrite' };
  definite(t, await rejection(store.put(orders, at(2, LONG))), expected);
  definite(
    t,
    t.throws(() => store.putSync(orders, at(2, LONG))),
    expected,
  );
  definite(t, await rejection(writeFileAtomic(written, LONG)), expected);
  t.deepEqual(picture(directory), before, 'no half of a temporary is left');
  t.true((await store.put(orders, at(2, 'two'))).applied, 'what fits is taken');
  limit('fsize', 'unlimited');
  t.true((await store.put(orders, at(3, LONG))).applied);
  t.is(readFileSync(file, 'utf8'), stateText([[orders, 3n, LONG]]));
  t.deepEqual(names(tempDir(t)), []);
});
