// What an ordinary user may not do: the codes of docs/errors.md; JF-7, JF-8, AW-3. Root ignores
// modes, so that this spec's process gives its privileges up first.
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import test, { type ExecutionContext } from 'ava';
import {
  FileLock,
  JsonFileStore,
  ResumeKey,
  type TidemarkError,
  writeFileAtomic,
} from '../index.ts';
import { picture } from './support/picture.ts';
import { stateText } from './support/state-file.ts';
import { openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';
import { becomeUnprivileged, unlessRoot } from './support/unprivileged.ts';
import { rejection } from './support/wait.ts';

const ordinary = unlessRoot(becomeUnprivileged(), test);

const key = ResumeKey.named('orders');
const at = (sequence: number) => ({ lastCommittedSequence: sequence });
const DENIED = { code: 'TIDEMARK_IO', errno: 13 };

/** A directory whose mode is what a test makes it, and removable again after it. */
function guarded(t: ExecutionContext): string {
  const directory = path.join(tempDir(t), 'guarded');
  mkdirSync(directory);
  t.teardown(() => {
    chmodSync(directory, 0o700);
  });
  return directory;
}

async function open(t: ExecutionContext, file: string): Promise<JsonFileStore> {
  const store = await JsonFileStore.open(file);
  t.teardown(() => store.close());
  return store;
}

function denied(t: ExecutionContext, error: unknown, what: string): void {
  t.like(error, DENIED, what);
  t.false('indeterminate' in (error as TidemarkError), `${what}: definite`);
}

ordinary('this spec is about an ordinary user', (t) => {
  t.not(process.getuid?.(), 0);
});

for (const lockExists of [false, true]) {
  const where = lockExists ? 'with a lock file' : 'without a lock file';

  ordinary(`a store in a read-only directory ${where} reads, and refuses to write`, async (t) => {
    const directory = guarded(t);
    const file = path.join(directory, 'state.json');
    writeFileSync(file, stateText([[key, 1n]]));
    if (lockExists) writeFileSync(`${file}.lock`, '');
    chmodSync(directory, 0o500);
    const before = picture(directory);
    const store = await open(t, file);
    const calls = {
      put: store.put(key, at(2)),
      tryPut: store.tryPut(key, at(2)) ?? Promise.resolve(),
      putMany: store.putMany([[key, at(2)]]),
      delete: store.delete(key),
      prune: store.prune(() => false),
    };
    for (const [name, call] of Object.entries(calls)) denied(t, await rejection(call), name);
    denied(
      t,
      t.throws(() => store.putSync(key, at(2))),
      'putSync',
    );
    t.is((await store.get(key, { fresh: true }))?.lastCommittedSequence, 1n);
    t.deepEqual(picture(directory), before);
    chmodSync(directory, 0o700);
    t.true((await store.put(key, at(2))).applied, 'the store goes on');
    t.is(readFileSync(file, 'utf8'), stateText([[key, 2n]]));
  });
}

ordinary('a repair in a read-only directory is refused, and the file stays', async (t) => {
  const directory = guarded(t);
  const file = path.join(directory, 'state.json');
  writeFileSync(file, 'damaged');
  writeFileSync(`${file}.lock`, '');
  chmodSync(directory, 0o500);
  const before = picture(directory);
  const recover = { recover: 'quarantine' } as const;
  denied(t, await rejection(JsonFileStore.open(file, recover)), 'open');
  t.deepEqual(picture(directory), before);
  chmodSync(directory, 0o700);
  const store = await JsonFileStore.open(file, recover);
  t.is(store.recovery.quarantined.length, 1);
  await store.close();
});

ordinary('writeFileAtomic and FileLock in a read-only directory', async (t) => {
  const directory = guarded(t);
  const [file, lock] = [path.join(directory, 'file'), path.join(directory, 'lock')];
  writeFileSync(file, 'old');
  chmodSync(directory, 0o500);
  const before = picture(directory);
  for (const durable of [true, false]) {
    denied(t, await rejection(writeFileAtomic(file, 'new', { durable })), 'an existing file');
    denied(t, await rejection(writeFileAtomic(lock, 'new', { durable })), 'a new file');
  }
  denied(t, await rejection(FileLock.acquire(lock)), 'acquire');
  denied(
    t,
    t.throws(() => FileLock.tryAcquire(lock)),
    'tryAcquire',
  );
  (await FileLock.acquire(file)).release();
  t.deepEqual(picture(directory), before, 'what exists can be locked, and stays as it is');
  chmodSync(directory, 0o700);
  await writeFileAtomic(file, 'new');
  (await FileLock.acquire(lock)).release();
  t.is(readFileSync(file, 'utf8'), 'new');
});

ordinary('a directory that may be written but not read: definite, nothing poisoned', async (t) => {
  const directory = guarded(t);
  const [file, other] = [path.join(directory, 'state.json'), path.join(directory, 'other')];
  const store = await open(t, file);
  await store.put(key, at(1));
  writeFileSync(other, stateText([[key, 1n]]));
  const before = picture(directory);
  // Its entries cannot be synced: what is renamed here could not be called durable.
  chmodSync(directory, 0o300);
  denied(t, await rejection(store.put(key, at(2))), 'put');
  denied(t, await rejection(store.delete(key)), 'delete');
  denied(t, await rejection(writeFileAtomic(other, 'new')), 'write');
  denied(t, await rejection(JsonFileStore.open(other)), 'what is there cannot be proven');
  (await FileLock.acquire(other)).release();
  chmodSync(directory, 0o700);
  t.deepEqual(picture(directory), before);
  t.true((await store.put(key, at(2))).applied, 'the store goes on');
  await writeFileAtomic(other, 'new');
});

ordinary('a directory that may not be searched', async (t) => {
  const directory = guarded(t);
  const file = path.join(directory, 'state.json');
  const store = await open(t, file);
  await store.put(key, at(1));
  const before = picture(directory);
  chmodSync(directory, 0);
  const calls = {
    put: store.put(key, at(2)),
    get: store.get(key, { fresh: true }),
    open: JsonFileStore.open(path.join(directory, 'other.json')),
    acquire: FileLock.acquire(path.join(directory, 'lock')),
    write: writeFileAtomic(path.join(directory, 'file'), 'content'),
  };
  for (const [name, call] of Object.entries(calls)) denied(t, await rejection(call), name);
  t.is(store.getSync(key)?.lastCommittedSequence, 1n);
  chmodSync(directory, 0o700);
  t.deepEqual(picture(directory), before);
  t.true((await store.put(key, at(2))).applied, 'the store goes on');
});

for (const mode of [0, 0o400, 0o200]) {
  ordinary(
    `a lock file of mode ${mode.toString(8)} that is there before the first put`,
    async (t) => {
      const { store, file } = await openJson(t);
      writeFileSync(`${file}.lock`, '');
      chmodSync(`${file}.lock`, mode);
      const before = picture(path.dirname(file));
      denied(t, await rejection(store.put(key, at(1))), 'put');
      t.like(await rejection(store.delete(key)), { ...DENIED, path: `${file}.lock` });
      denied(t, await rejection(FileLock.acquire(`${file}.lock`)), 'acquire');
      t.deepEqual(picture(path.dirname(file)), before);
      t.is(await store.get(key, { fresh: true }), undefined);
      chmodSync(`${file}.lock`, 0o600);
      t.true((await store.put(key, at(1))).applied, 'the store goes on');
    },
  );
}

ordinary('a state file that may not be read, at open and under an open store', async (t) => {
  const { store, file } = await openJson(t);
  await store.put(key, at(1));
  writeFileSync(`${file}.new`, stateText([[key, 5n]]));
  chmodSync(file, 0);
  const recover = { recover: 'quarantine' } as const;
  const before = picture(path.dirname(file));
  denied(t, await rejection(store.get(key, { fresh: true })), 'get');
  denied(t, await rejection(store.put(key, at(2))), 'put');
  t.deepEqual(picture(path.dirname(file)), before);
  await store.close();
  denied(t, await rejection(JsonFileStore.open(file)), 'open');
  denied(t, await rejection(JsonFileStore.open(file, recover)), 'not what quarantine is for');
  t.deepEqual(picture(path.dirname(file)), before);
  chmodSync(file, 0o600);
  t.is((await open(t, file)).getSync(key)?.lastCommittedSequence, 1n);
});

test('a store whose files get mode 0400 can be opened and written again', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  for (const sequence of [1, 2, 3]) {
    const store = await JsonFileStore.open(file, { mode: 0o400 });
    t.true((await store.put(key, at(sequence))).applied);
    await store.close();
    t.is(statSync(file).mode & 0o777, 0o400);
    t.is(statSync(`${file}.lock`).mode & 0o777, 0o600, 'who made it can lock it again');
  }
});
