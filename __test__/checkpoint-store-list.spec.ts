// Listing, pruning, refreshing and counting, in every checkpoint store.
import test from 'ava';
import { type CheckpointStore, ResumeKey } from '../index.ts';
import { forEachStore, listed } from './support/stores.ts';
import { until } from './support/wait.ts';

const eachStore = forEachStore(test);

async function fill(store: CheckpointStore, count: number): Promise<ResumeKey[]> {
  const keys = Array.from({ length: count }, (_, index) => ResumeKey.named(`key ${index}`));
  await store.putMany(keys.map((key, index) => [key, { lastCommittedSequence: index }] as const));
  return keys;
}

eachStore('entries are sorted by the hex form of their keys', async (t, kind) => {
  const { store } = await kind.open(t);
  const keys = await fill(store, 40);
  const hexes = (await listed(store.entries())).map(([key]) => key.hex);
  t.deepEqual(hexes, keys.map(({ hex }) => hex).sort());
});

eachStore('entries are a snapshot, taken at the first next()', async (t, kind) => {
  const { store } = await kind.open(t);
  const [first] = await fill(store, 3);
  const entries = store.entries()[Symbol.asyncIterator]();
  const later = ResumeKey.named('put before the first next()');
  await store.put(later, { lastCommittedSequence: 1n });
  const seen = [((await entries.next()).value as [ResumeKey, unknown])[0].hex];
  const tooLate = ResumeKey.named('put after it');
  await store.put(tooLate, { lastCommittedSequence: 1n });
  await store.delete(first as ResumeKey);
  for await (const [key] of { [Symbol.asyncIterator]: () => entries }) seen.push(key.hex);
  t.is(seen.length, 4);
  t.true(seen.includes(later.hex));
  t.false(seen.includes(tooLate.hex));
  t.true(seen.includes((first as ResumeKey).hex));
});

eachStore('entries that are begun end with TIDEMARK_CLOSED at close', async (t, kind) => {
  const { store } = await kind.open(t);
  await fill(store, 3);
  const entries = store.entries()[Symbol.asyncIterator]();
  t.false((await entries.next()).done);
  await store.close();
  await t.throwsAsync(() => entries.next(), { code: 'TIDEMARK_CLOSED' });
  t.true((await entries.next()).done);
});

eachStore('entries can be left early', async (t, kind) => {
  const { store } = await kind.open(t);
  await fill(store, 3);
  let count = 0;
  for await (const [key] of store.entries()) {
    t.is(key.hex.length, 64);
    count += 1;
    if (count === 2) break;
  }
  t.is(count, 2);
  t.is(store.size, 3);
});

eachStore(
  'keys keep their names where the store keeps names, and a prefix asks for them',
  async (t, kind) => {
    const { store } = await kind.open(t);
    const names = ['orders/eu', 'orders/us', 'order', 'bills'];
    for (const name of names) await store.put(ResumeKey.named(name), { lastCommittedSequence: 1n });
    await store.put(ResumeKey.fromHex('ab'.repeat(32)), { lastCommittedSequence: 1n });
    const all = (await listed(store.entries())).map(([key]) => key.name);
    if (kind.keepsNames) {
      t.deepEqual(all.toSorted(), [...names.toSorted(), undefined]);
      const some = (await listed(store.entries({ prefix: 'orders' }))).map(([key]) => key.name);
      t.deepEqual(some.toSorted(), ['orders/eu', 'orders/us']);
      t.is(
        (await listed(store.entries({ prefix: '' }))).length,
        4,
        'a key without a name has none',
      );
      t.deepEqual(await listed(store.entries({ prefix: 'Orders' })), []);
    } else {
      t.deepEqual(new Set(all), new Set([undefined]));
      for (const prefix of ['orders', '']) {
        const refused = listed(store.entries({ prefix }));
        await t.throwsAsync(refused, { code: 'TIDEMARK_UNSUPPORTED' });
      }
    }
  },
);

eachStore('a name given later stays with the key (last one given wins)', async (t, kind) => {
  const { store } = await kind.open(t);
  const named = ResumeKey.named('orders');
  await store.put(ResumeKey.fromHex(named.hex), { lastCommittedSequence: 1n });
  await store.put(named, { lastCommittedSequence: 2n });
  await store.put(ResumeKey.fromHex(named.hex), { lastCommittedSequence: 3n });
  const [entry] = await listed(store.entries());
  t.is(entry?.[0].name, kind.keepsNames ? 'orders' : undefined);
  t.is(entry?.[1].lastCommittedSequence, 3n);
});

eachStore('prune deletes what is not to be kept, in one commit, and counts it', async (t, kind) => {
  const { store } = await kind.open(t);
  const keys = await fill(store, 10);
  const asked: string[] = [];
  const before = store.metrics()['groups'] as bigint;
  const count = await store.prune((key, { lastCommittedSequence, lastEventId }) => {
    asked.push(key.hex);
    t.is(lastEventId, null);
    return lastCommittedSequence >= 4n;
  });
  t.is(count, 4);
  t.is((store.metrics()['groups'] as bigint) - before, 1n);
  t.deepEqual(asked, keys.map(({ hex }) => hex).sort());
  t.deepEqual(
    keys.map((key) => store.getSync(key) !== undefined),
    [false, false, false, false, true, true, true, true, true, true],
  );
  t.is(await store.prune(() => true), 0);
  t.is(await store.prune(() => false), 6);
  t.is(await store.prune(() => false), 0);
});

eachStore('prune spares a checkpoint that changes meanwhile', async (t, kind) => {
  const { store } = await kind.open(t);
  const keys = await fill(store, 3);
  const count = await store.prune((key) => {
    if (key.hex === keys[1]?.hex) store.putSync(key, { lastCommittedSequence: 99n });
    return false;
  });
  t.is(count, 2);
  t.is(store.size, 1);
  t.is(store.getSync(keys[1] as ResumeKey)?.lastCommittedSequence, 99n);
});

eachStore('prune spares a checkpoint of the same sequence in another life', async (t, kind) => {
  const { store } = await kind.open(t);
  const [key = ResumeKey.named('none')] = await fill(store, 1);
  const others: Promise<unknown>[] = [];
  const count = await store.prune(() => {
    others.push(store.delete(key));
    others.push(store.put(key, { lastCommittedSequence: 0n, lastEventId: 'another life' }));
    return false;
  });
  await Promise.all(others);
  t.is(count, 0);
  t.is(store.getSync(key)?.lastEventId, 'another life');
});

eachStore('prune rejects with what its function throws, and deletes nothing', async (t, kind) => {
  const { store } = await kind.open(t);
  await fill(store, 3);
  const mistake = new Error('mine');
  const pruned = store.prune(() => {
    throw mistake;
  });
  t.is(await t.throwsAsync(pruned), mistake);
  t.is(store.size, 3);
});

eachStore('refresh of what nobody else changed changes nothing', async (t, kind) => {
  const { store } = await kind.open(t);
  await fill(store, 3);
  await store.refresh();
  await store.refresh({});
  t.is(store.size, 3);
});

const COMMON_METRICS = {
  keys: 'number',
  inFlightOperations: 'number',
  inFlightBytes: 'number',
  operations: 'bigint',
  groups: 'bigint',
  withdrawn: 'bigint',
  lockTimeouts: 'bigint',
  commitUs: 'object',
  lockWaitUs: 'object',
};

eachStore('metrics are frozen, and their keys are API', async (t, kind) => {
  const { store } = await kind.open(t);
  const metrics = store.metrics();
  t.true(Object.isFrozen(metrics));
  const kinds = Object.entries(metrics).map(([name, value]) => [name, typeof value] as const);
  t.like(Object.fromEntries(kinds), COMMON_METRICS);
  for (const value of Object.values(metrics)) {
    if (typeof value !== 'object') continue;
    t.deepEqual(Object.keys(value), ['count', 'p50', 'p99', 'max']);
  }
  await fill(store, 3);
  t.deepEqual(Object.keys(store.metrics()), Object.keys(metrics));
});

eachStore('metrics count keys, operations and groups', async (t, kind) => {
  const { store } = await kind.open(t);
  await fill(store, 7);
  await store.put(ResumeKey.named('another'), { lastCommittedSequence: 1n });
  await store.delete(ResumeKey.named('another'));
  // The figures follow the results.
  await until(() => store.metrics()['operations'] === 3n, 'three operations are counted');
  await until(() => store.metrics()['inFlightBytes'] === 0, 'nothing is in flight');
  const { commitUs, ...counted } = store.metrics();
  t.like(counted, { keys: 7, operations: 3n, groups: 3n, withdrawn: 0n, lockTimeouts: 0n });
  t.is(counted['inFlightOperations'], 0);
  t.is((commitUs as { count: number }).count, 3);
});
