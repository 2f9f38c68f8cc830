// Use after close and double close, where checkpoint-store-close.spec.ts ends: every method of
// every class in any order, bad arguments after the end, and closing within a call (GC-8).
import { readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import {
  type CheckpointStore,
  FileLock,
  JsonFileStore,
  ResumeKey,
  writeFileAtomic,
} from '../index.ts';
import { picture } from './support/picture.ts';
import { openIn } from './support/process-state.ts';
import { replaceFile, stateText } from './support/state-file.ts';
import { forEachStore, listed, openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';
import { isSettled, rejection, turns, until } from './support/wait.ts';

const eachStore = forEachStore(test);
const key = ResumeKey.named('orders');
const one = { lastCommittedSequence: 1n };
const CLOSED = { code: 'TIDEMARK_CLOSED', name: 'TidemarkError' };

type End = (store: CheckpointStore) => unknown;
const ENDS: Record<string, End> = {
  close: (store) => store.close(),
  closeSync: (store) => {
    store.closeSync();
  },
  dispose: (store) => store[Symbol.asyncDispose](),
};

for (const [firstName, first] of Object.entries(ENDS)) {
  for (const [secondName, second] of Object.entries(ENDS)) {
    eachStore(`${secondName} at once after ${firstName}, then everything`, async (t, kind) => {
      const { store } = await kind.open(t);
      const put = store.put(key, one);
      const ends = [first(store), second(store), first(store)];
      t.throws(() => store.getSync(key), CLOSED);
      t.throws(() => store.putSync(key, one), CLOSED);
      t.throws(() => store.size, CLOSED);
      t.throws(() => store.metrics(), CLOSED);
      const calls = {
        get: store.get(key),
        fresh: store.get(key, { fresh: true }),
        put: store.put(key, one),
        tryPut: store.tryPut(key, one) ?? Promise.resolve(),
        putMany: store.putMany([[key, one]]),
        delete: store.delete(key),
        'delete if': store.delete(key, { ifSequence: 1n }),
        prune: store.prune(() => false),
        entries: listed(store.entries()),
        refresh: store.refresh(),
        'with a signal': store.put(key, one, { signal: new AbortController().signal }),
      };
      for (const [name, call] of Object.entries(calls)) {
        t.like(await rejection(call), CLOSED, name);
      }
      await Promise.all(ends);
      t.true((await put).applied, 'what was accepted is finished');
      for (const end of Object.values(ENDS)) await end(store);
    });
  }
}

eachStore('a bad argument is told of before the end is', async (t, kind) => {
  const { store } = await kind.open(t);
  await store.close();
  const INVALID = { code: 'TIDEMARK_INVALID_ARGUMENT' };
  t.like(await rejection(store.put(key, { lastCommittedSequence: -1 })), INVALID);
  t.throws(() => store.putSync(key, { lastCommittedSequence: 1.5 }), INVALID);
  t.like(await rejection(store.get(key, { fresh: 1 as never })), INVALID);
  const signal = AbortSignal.abort(new Error('mine'));
  t.like(await rejection(store.put(key, one, { signal })), CLOSED, 'and before an abort');
});

test('a closed store touches nothing, and holds nothing open', async (t) => {
  const { store, file } = await openJson(t);
  await store.put(key, one);
  await store.close();
  const before = picture(path.dirname(file));
  t.deepEqual(openIn(path.dirname(file)), []);
  await rejection(store.put(key, { lastCommittedSequence: 2n }));
  await rejection(store.refresh());
  t.throws(() => store.putSync(key, { lastCommittedSequence: 2n }), CLOSED);
  await store.close();
  store.closeSync();
  t.deepEqual(picture(path.dirname(file)), before);
  const again = await JsonFileStore.open(file);
  store.closeSync();
  await store.close();
  t.true((await again.put(key, { lastCommittedSequence: 2n })).applied, 'it ends only itself');
  await again.close();
});

eachStore('an iterator that is under way ends with the store', async (t, kind) => {
  const { store } = await kind.open(t);
  for (const name of ['a', 'b', 'c']) await store.put(ResumeKey.named(name), one);
  const entries = store.entries()[Symbol.asyncIterator]();
  t.false((await entries.next()).done);
  await store.close();
  t.like(await rejection(entries.next()), CLOSED);
  t.true((await entries.next()).done, 'once');
});

eachStore('prune whose own function closes the store deletes nothing', async (t, kind) => {
  const { store } = await kind.open(t);
  await store.put(key, one);
  const pruned = store.prune(() => {
    store.closeSync();
    return false;
  });
  t.like(await rejection(pruned), CLOSED);
});

eachStore('an iterable that closes the store under putMany puts nothing', async (t, kind) => {
  const { store } = await kind.open(t);
  const entries = (function* (): Generator<[ResumeKey, typeof one]> {
    yield [key, one];
    store.closeSync();
    yield [ResumeKey.named('bills'), one];
  })();
  t.like(await rejection(store.putMany(entries)), CLOSED);
});

test('a listener may close its store, either way, without a hang', async (t) => {
  for (const end of [ENDS['close'], ENDS['closeSync']]) {
    const { store, file } = await openJson(t);
    await store.put(key, { lastCommittedSequence: 5n });
    let heard = 0;
    store.on('regressed', () => {
      heard += 1;
      void end?.(store);
    });
    replaceFile(file, stateText([[key, 2n]]));
    const put = store.put(key, { lastCommittedSequence: 3n });
    t.true((await put).applied, 'what was accepted is finished');
    await until(() => heard > 0, 'the event comes');
    t.throws(() => store.getSync(key), CLOSED);
    await turns(5);
    t.is(heard, 1);
    await store.close();
    t.deepEqual(openIn(path.dirname(file)), []);
  }
});

test('a lock: release twice, dispose twice, in any order, frees it once', async (t) => {
  const file = path.join(tempDir(t), 'a.lock');
  for (const again of ['release', 'dispose'] as const) {
    const lock = await FileLock.acquire(file);
    lock.release();
    if (again === 'release') lock.release();
    else await lock[Symbol.asyncDispose]();
    const next = await FileLock.acquire(file);
    lock.release();
    await lock[Symbol.asyncDispose]();
    t.is(FileLock.tryAcquire(file), null, 'the next holder keeps it');
    const waiting = FileLock.acquire(file);
    lock.release();
    await turns(20);
    t.false(await isSettled(waiting));
    next.release();
    (await waiting).release();
  }
  t.is(statSync(file).size, 0);
  await until(() => openIn(path.dirname(file)).length === 0, 'nothing stays open');
});

test('opening and closing over and over leaves nothing: no name, no descriptor', async (t) => {
  const file = path.join(tempDir(t), 'state.json');
  for (let round = 0; round < 50; round += 1) {
    const opening = [JsonFileStore.open(file), JsonFileStore.open(file)];
    const stores = await Promise.all(opening);
    void stores[0]?.put(key, { lastCommittedSequence: round });
    const closing = stores.map((store, index) => {
      return index === round % 2 ? store.close() : ENDS['closeSync']?.(store);
    });
    await Promise.all(closing);
  }
  await writeFileAtomic(`${file}.other`, '');
  const names = readdirSync(path.dirname(file)).sort();
  t.deepEqual(names, ['state.json', 'state.json.lock', 'state.json.other']);
  t.deepEqual(openIn(path.dirname(file)), []);
});
