// What every checkpoint store does, whatever is behind it. M-1 to M-3 are the invariants of
// crates/core/src/checkpoint/merge.rs, GC-* those of docs/commit-path.md.
import test from 'ava';
import { ResumeKey } from '../index.ts';
import { forEachStore, listed } from './support/stores.ts';

const eachStore = forEachStore(test);
const UINT64_MAX = 2n ** 64n - 1n;
const [orders, bills] = [ResumeKey.named('orders'), ResumeKey.named('bills')];

eachStore('a key that nobody put has no checkpoint', async (t, kind) => {
  const { store } = await kind.open(t);
  t.is(await store.get(orders), undefined);
  t.is(await store.get(orders, { fresh: true }), undefined);
  t.is(store.getSync(orders), undefined);
  t.is(store.size, 0);
  t.deepEqual(await listed(store.entries()), []);
});

eachStore('what was put is found by get, getSync, fresh get and entries', async (t, kind) => {
  const { store } = await kind.open(t);
  const checkpoint = { lastCommittedSequence: 72n, lastEventId: 'mars@72' };
  t.deepEqual(await store.put(orders, checkpoint), { applied: true, current: checkpoint });
  t.deepEqual(await store.get(orders), checkpoint);
  t.deepEqual(await store.get(orders, {}), checkpoint);
  t.deepEqual(await store.get(orders, { fresh: true }), checkpoint);
  t.deepEqual(store.getSync(orders), checkpoint);
  t.is(store.size, 1);
  const entries = await listed(store.entries());
  t.deepEqual(
    entries.map(([key, found]) => [key.hex, found]),
    [[orders.hex, checkpoint]],
  );
});

eachStore('bigints and safe integers go in, bigints come out', async (t, kind) => {
  const { store } = await kind.open(t);
  const sequences = [0, -0, 1, Number.MAX_SAFE_INTEGER, 0n, 1n, 2n ** 53n + 1n, UINT64_MAX];
  for (const [index, lastCommittedSequence] of sequences.entries()) {
    const { current } = await store.put(ResumeKey.named(`key ${index}`), { lastCommittedSequence });
    t.is(current.lastCommittedSequence, BigInt(lastCommittedSequence));
  }
});

eachStore('the largest sequence, 2^64 - 1, is storable and final', async (t, kind) => {
  const { store } = await kind.open(t);
  await store.put(orders, { lastCommittedSequence: UINT64_MAX, lastEventId: 'last' });
  const current = { lastCommittedSequence: UINT64_MAX, lastEventId: 'last' };
  t.deepEqual(await store.put(orders, { lastCommittedSequence: UINT64_MAX }), {
    applied: false,
    current,
  });
  t.deepEqual(await store.get(orders), current);
});

eachStore('M-1: an equal sequence is not applied and the first id stays', async (t, kind) => {
  const { store } = await kind.open(t);
  const first = { lastCommittedSequence: 5n, lastEventId: 'first' };
  await store.put(orders, first);
  for (const lastEventId of ['second', null, '']) {
    const result = await store.put(orders, { lastCommittedSequence: 5n, lastEventId });
    t.deepEqual(result, { applied: false, current: first });
  }
  await store.put(bills, { lastCommittedSequence: 5n, lastEventId: null });
  const { current } = await store.put(bills, { lastCommittedSequence: 5n, lastEventId: 'e@5' });
  t.is(current.lastEventId, null, 'put(k, 5, null), put(k, 5, "e@5"): the id stays null');
});

eachStore('M-1: a lower sequence is not applied, a higher one is', async (t, kind) => {
  const { store } = await kind.open(t);
  await store.put(orders, { lastCommittedSequence: 10n, lastEventId: 'ten' });
  const lower = await store.put(orders, { lastCommittedSequence: 9n, lastEventId: 'nine' });
  t.deepEqual(lower, {
    applied: false,
    current: { lastCommittedSequence: 10n, lastEventId: 'ten' },
  });
  const higher = await store.put(orders, { lastCommittedSequence: 11n });
  t.deepEqual(higher, {
    applied: true,
    current: { lastCommittedSequence: 11n, lastEventId: null },
  });
});

eachStore(
  'an absent, undefined and null event id are null, an empty one is not',
  async (t, kind) => {
    const { store } = await kind.open(t);
    const ids = [{}, { lastEventId: undefined }, { lastEventId: null }, { lastEventId: '' }];
    const found: unknown[] = [];
    for (const [index, id] of ids.entries()) {
      const key = ResumeKey.named(`key ${index}`);
      const { current } = await store.put(key, { lastCommittedSequence: 1n, ...id } as never);
      found.push(current.lastEventId, (await store.get(key))?.lastEventId);
    }
    t.deepEqual(found, [null, null, null, null, null, null, '', '']);
  },
);

eachStore('event ids of any characters come back as they were', async (t, kind) => {
  const { store } = await kind.open(t);
  const ids = ['\0', '"\\/\b\f\n\r\t', '\u007f\u2028\ufeff', '\u00e9 \u20ac \u{1f30a}', ' a '];
  for (const [index, lastEventId] of ids.entries()) {
    const key = ResumeKey.named(`key ${index}`);
    await store.put(key, { lastCommittedSequence: 1n, lastEventId });
    t.is((await store.get(key, { fresh: true }))?.lastEventId, lastEventId);
  }
});

eachStore('a key is its digest: named, from hex and in capitals', async (t, kind) => {
  const { store } = await kind.open(t);
  await store.put(orders, { lastCommittedSequence: 3n });
  for (const hex of [orders.hex, orders.hex.toUpperCase()]) {
    t.is(store.getSync(ResumeKey.fromHex(hex))?.lastCommittedSequence, 3n);
  }
});

eachStore('GC-2: results belong to their puts, in the order of the calls', async (t, kind) => {
  const { store } = await kind.open(t);
  const order: number[] = [];
  const puts = [3n, 1n, 3n, 7n, 4n, 8n].map(async (lastCommittedSequence, index) => {
    const result = await store.put(orders, { lastCommittedSequence });
    order.push(index);
    return result;
  });
  const results = await Promise.all(puts);
  t.deepEqual(order, [0, 1, 2, 3, 4, 5]);
  t.deepEqual(
    results.map(({ applied, current }) => [applied, current.lastCommittedSequence]),
    [
      [true, 3n],
      [false, 3n],
      [false, 3n],
      [true, 7n],
      [false, 7n],
      [true, 8n],
    ],
  );
});

eachStore('concurrent puts to distinct keys all land', async (t, kind) => {
  const { store } = await kind.open(t);
  const keys = Array.from({ length: 200 }, (_, index) => ResumeKey.named(`key ${index}`));
  await Promise.all(
    keys.map((key, index) =>
      store.put(key, { lastCommittedSequence: index, lastEventId: key.hex }),
    ),
  );
  t.is(store.size, keys.length);
  for (const [index, key] of keys.entries()) {
    const expected = { lastCommittedSequence: BigInt(index), lastEventId: key.hex };
    t.deepEqual(await store.get(key), expected);
  }
});

eachStore('putMany is judged in order, duplicates too, and answers in order', async (t, kind) => {
  const { store } = await kind.open(t);
  const results = await store.putMany([
    [orders, { lastCommittedSequence: 5n, lastEventId: 'a' }],
    [bills, { lastCommittedSequence: 1n }],
    [orders, { lastCommittedSequence: 4n, lastEventId: 'b' }],
    [orders, { lastCommittedSequence: 6n, lastEventId: 'c' }],
  ]);
  t.deepEqual(
    results.map(({ applied, current }) => [applied, current.lastEventId]),
    [
      [true, 'a'],
      [true, null],
      [false, 'a'],
      [true, 'c'],
    ],
  );
  t.is(store.size, 2);
});

eachStore('putMany takes any iterable, an empty one included', async (t, kind) => {
  const { store } = await kind.open(t);
  t.deepEqual(await store.putMany([]), []);
  t.is((await store.putMany(new Map([[orders, { lastCommittedSequence: 1n }]]))).length, 1);
  t.is(store.size, 1);
});

eachStore('putMany is one commit, however many it puts', async (t, kind) => {
  const { store } = await kind.open(t);
  const many = Array.from(
    { length: 50 },
    (_, index) => [ResumeKey.named(`key ${index}`), { lastCommittedSequence: index }] as const,
  );
  await store.putMany(many);
  t.is(store.metrics()['groups'], 1n);
});

eachStore('putSync joins the queue behind what was handed over before', async (t, kind) => {
  const { store } = await kind.open(t);
  const earlier = store.put(orders, { lastCommittedSequence: 5n, lastEventId: 'earlier' });
  const result = store.putSync(orders, { lastCommittedSequence: 4n, lastEventId: 'sync' });
  t.deepEqual(result, {
    applied: false,
    current: { lastCommittedSequence: 5n, lastEventId: 'earlier' },
  });
  t.is(store.getSync(orders)?.lastCommittedSequence, 5n);
  t.true((await earlier).applied);
  t.true(store.putSync(orders, { lastCommittedSequence: 6 }).applied);
});

eachStore('tryPut is a put that does not wait for room', async (t, kind) => {
  const { store } = await kind.open(t);
  const result = await store.tryPut(orders, { lastCommittedSequence: 1n, lastEventId: 'a' });
  t.deepEqual(result, {
    applied: true,
    current: { lastCommittedSequence: 1n, lastEventId: 'a' },
  });
});

eachStore('M-2: delete answers deleted or absent; then a lower put applies', async (t, kind) => {
  const { store } = await kind.open(t);
  t.is(await store.delete(orders), 'absent');
  await store.put(orders, { lastCommittedSequence: 50n });
  t.is(await store.delete(orders), 'deleted');
  t.is(await store.get(orders), undefined);
  t.is(store.size, 0);
  t.is(await store.delete(orders), 'absent');
  t.true((await store.put(orders, { lastCommittedSequence: 1n })).applied);
});

eachStore('delete with ifSequence spares what has gone further', async (t, kind) => {
  const { store } = await kind.open(t);
  await store.put(orders, { lastCommittedSequence: 10n });
  t.is(await store.delete(orders, { ifSequence: 9n }), 'superseded');
  t.is(store.getSync(orders)?.lastCommittedSequence, 10n);
  t.is(await store.delete(orders, { ifSequence: 10 }), 'deleted');
  t.is(await store.delete(orders, { ifSequence: 0n }), 'absent');
  await store.put(orders, { lastCommittedSequence: 3n });
  t.is(await store.delete(orders, { ifSequence: UINT64_MAX }), 'deleted');
});

eachStore('what is returned and what was given are not the store itself', async (t, kind) => {
  const { store } = await kind.open(t);
  const given = { lastCommittedSequence: 1n, lastEventId: 'given' };
  const put = store.put(orders, given);
  given.lastCommittedSequence = 9n;
  given.lastEventId = 'changed';
  const { current } = await put;
  t.deepEqual(current, { lastCommittedSequence: 1n, lastEventId: 'given' });
  Object.assign(current, { lastCommittedSequence: 0n });
  t.is(store.getSync(orders)?.lastCommittedSequence, 1n);
});

eachStore('a put that nobody awaited is not visible in its own tick (GC-5)', async (t, kind) => {
  const { store, hold } = await kind.open(t);
  const release = await hold();
  const put = store.put(orders, { lastCommittedSequence: 1n });
  t.is(store.getSync(orders), undefined);
  t.is(store.size, 0);
  release();
  await put;
  t.is(store.getSync(orders)?.lastCommittedSequence, 1n);
});
