// The end of a store's handle: GC-8 of docs/commit-path.md. Closing is idempotent, finishes
// what was accepted and ends iterators with _CLOSED. In every checkpoint store.
import test from 'ava';
import { type CheckpointStore, ResumeKey } from '../index.ts';
import { forEachStore, listed } from './support/stores.ts';
import { isSettled, rejection, turns } from './support/wait.ts';

const eachStore = forEachStore(test);
const key = ResumeKey.named('orders');
const one = { lastCommittedSequence: 1n };
const CLOSED = { code: 'TIDEMARK_CLOSED', name: 'TidemarkError' };

const ASYNC_METHODS: Record<string, (store: CheckpointStore) => unknown> = {
  get: (store) => store.get(key),
  'fresh get': (store) => store.get(key, { fresh: true }),
  put: (store) => store.put(key, one),
  tryPut: (store) => store.tryPut(key, one),
  putMany: (store) => store.putMany([[key, one]]),
  'putMany of nothing': (store) => store.putMany([]),
  delete: (store) => store.delete(key),
  prune: (store) => store.prune(() => true),
  entries: (store) => listed(store.entries()),
  refresh: (store) => store.refresh(),
};

const SYNC_METHODS: Record<string, (store: CheckpointStore) => unknown> = {
  getSync: (store) => store.getSync(key),
  putSync: (store) => store.putSync(key, one),
  size: (store) => store.size,
  metrics: (store) => store.metrics(),
};

for (const how of ['close', 'closeSync'] as const) {
  eachStore(`after ${how}, every method that needs the store says so`, async (t, kind) => {
    const { store } = await kind.open(t);
    await store.put(key, one);
    await store[how]();
    for (const [name, call] of Object.entries(ASYNC_METHODS)) {
      await t.throwsAsync(() => call(store) as Promise<unknown>, CLOSED, name);
    }
    for (const [name, call] of Object.entries(SYNC_METHODS)) {
      t.throws(() => call(store), CLOSED, name);
    }
  });

  eachStore(`after ${how}, what tells about the store still answers`, async (t, kind) => {
    const { store } = await kind.open(t);
    const { durability, recovery } = store;
    await store[how]();
    t.is(store.durability, durability);
    t.deepEqual(store.recovery, recovery);
    const listener = (): void => undefined;
    t.is(store.on('poisoned', listener), store);
    t.is(store.off('poisoned', listener), store);
  });

  eachStore(`${how} finishes puts and deletes that were accepted`, async (t, kind) => {
    const { store } = await kind.open(t);
    await store.put(key, one);
    const results = Promise.all([
      store.put(key, { lastCommittedSequence: 2n }),
      store.tryPut(key, { lastCommittedSequence: 3n }),
      store.putMany([[key, { lastCommittedSequence: 2n }]]),
      store.delete(key, { ifSequence: 3n }),
    ]);
    await store[how]();
    const [put, tried, many, deleted] = await results;
    t.true(put.applied);
    t.true(tried?.applied);
    t.deepEqual(many, [{ applied: false, current: (tried as typeof put).current }]);
    t.is(deleted, 'deleted');
  });

  eachStore(`${how} after ${how} does nothing more`, async (t, kind) => {
    const { store } = await kind.open(t);
    await store[how]();
    await store[how]();
    await store.close();
    store.closeSync();
    t.throws(() => store.getSync(key), CLOSED);
  });
}

eachStore('close resolves after the results of what was accepted', async (t, kind) => {
  const { store, hold } = await kind.open(t);
  const release = await hold();
  const order: string[] = [];
  const put = store.put(key, one).then(() => order.push('put'));
  const close = store.close().then(() => order.push('close'));
  release();
  await Promise.all([put, close]);
  t.deepEqual(order, ['put', 'close']);
});

eachStore('two closes at once both wait', async (t, kind) => {
  const { store, hold } = await kind.open(t);
  const release = await hold();
  const put = store.put(key, one);
  const closes = [store.close(), store.close()];
  await t.throwsAsync(() => store.put(key, { lastCommittedSequence: 9n }), CLOSED);
  release();
  await Promise.all(closes);
  t.true(await isSettled(put));
  t.true((await put).applied);
});

eachStore('a store is async-disposable: leaving its scope closes it', async (t, kind) => {
  const { store } = await kind.open(t);
  await store.put(key, one);
  await store[Symbol.asyncDispose]();
  await t.throwsAsync(() => store.get(key), CLOSED);
  await store[Symbol.asyncDispose]();
});

eachStore('listeners hear nothing after close', async (t, kind) => {
  const { store } = await kind.open(t);
  let heard = 0;
  for (const event of ['regressed', 'quarantined', 'poisoned', 'slowSync'] as const) {
    store.on(event, () => (heard += 1));
  }
  await store.put(key, one);
  await store.close();
  await turns(20);
  t.is(heard, 0);
});

// AbortSignal: GC-3.

const ABORTABLE: Record<string, (store: CheckpointStore, signal: AbortSignal) => Promise<unknown>> =
  {
    get: (store, signal) => store.get(key, { signal }),
    'fresh get': (store, signal) => store.get(key, { fresh: true, signal }),
    put: (store, signal) => store.put(key, { lastCommittedSequence: 2n }, { signal }),
    putMany: (store, signal) => store.putMany([[key, { lastCommittedSequence: 2n }]], { signal }),
    delete: (store, signal) => store.delete(key, { signal }),
    refresh: (store, signal) => store.refresh({ signal }),
  };

eachStore('a signal that is aborted already: its reason, and nothing is done', async (t, kind) => {
  const { store } = await kind.open(t);
  await store.put(key, one);
  const reasons: unknown[] = [new Error('mine'), 'a string', 0, null];
  for (const [name, call] of Object.entries(ABORTABLE)) {
    for (const reason of reasons) {
      t.is(await rejection(call(store, AbortSignal.abort(reason))), reason, name);
    }
    const error = await rejection(call(store, AbortSignal.abort()));
    t.is((error as DOMException).name, 'AbortError', name);
  }
  t.is(store.getSync(key)?.lastCommittedSequence, 1n);
});

for (const name of ['put', 'putMany', 'delete']) {
  eachStore(`${name} that is aborted while it is queued is never done`, async (t, kind) => {
    const { store, hold } = await kind.open(t);
    await store.put(key, one);
    const release = await hold();
    const controller = new AbortController();
    const call = ABORTABLE[name]?.(store, controller.signal);
    const reason = new Error('changed my mind');
    controller.abort(reason);
    t.is(await t.throwsAsync(call ?? Promise.resolve()), reason);
    release();
    await store.put(ResumeKey.named('another'), one);
    t.is((await store.get(key, { fresh: true }))?.lastCommittedSequence, 1n);
    t.is(store.metrics()['withdrawn'], 1n);
  });
}

eachStore('an abort after the result changes nothing and leaves no listener', async (t, kind) => {
  const { store } = await kind.open(t);
  const controller = new AbortController();
  const { signal } = controller;
  const added: unknown[] = [];
  const removed: unknown[] = [];
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  signal.addEventListener = (...args: Parameters<typeof add>) => {
    added.push(args[1]);
    add(...args);
  };
  signal.removeEventListener = (...args: Parameters<typeof remove>) => {
    removed.push(args[1]);
    remove(...args);
  };
  t.true((await store.put(key, one, { signal })).applied);
  await t.throwsAsync(store.put(key, { lastCommittedSequence: -1 }, { signal }));
  controller.abort();
  t.is(store.getSync(key)?.lastCommittedSequence, 1n);
  t.is(added.length, 1);
  t.deepEqual(removed, added);
});

eachStore('an abort frees its place: those behind it are not affected', async (t, kind) => {
  const { store, hold } = await kind.open(t);
  const release = await hold();
  const controller = new AbortController();
  const puts = Array.from({ length: 10 }, (_, index) =>
    store.put(
      key,
      { lastCommittedSequence: index },
      index % 2 === 0 ? { signal: controller.signal } : {},
    ),
  );
  controller.abort();
  const outcomes = await (async () => {
    release();
    return Promise.allSettled(puts);
  })();
  t.deepEqual(
    outcomes.map(({ status }) => status),
    Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? 'rejected' : 'fulfilled')),
  );
  t.is(store.getSync(key)?.lastCommittedSequence, 9n);
});
