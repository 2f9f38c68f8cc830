// Random operations against a Map, and a full queue. In every checkpoint store.
import process from 'node:process';
import test from 'ava';
import fc from 'fast-check';
import { type CheckpointStore, ResumeKey } from '../index.ts';
import { forEachStore, listed } from './support/stores.ts';
import { isSettled, rejection, turns } from './support/wait.ts';

const eachStore = forEachStore(test);
const eachHeldStore = forEachStore(test, ({ holds }) => holds);

// A failure prints its seed; SEED=<it> runs the same again.
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

type Model = Map<string, { sequence: bigint; id: string | null }>;

const keys = Array.from({ length: 4 }, (_, index) => ResumeKey.named(`key ${index}`));
const anyKey = fc.constantFrom(...keys);
// Small sequences meet each other; the others are where numbers change their nature.
const anySequence = fc.oneof(
  { weight: 8, arbitrary: fc.bigInt({ min: 0n, max: 12n }) },
  { weight: 1, arbitrary: fc.constantFrom(2n ** 53n - 1n, 2n ** 53n, 2n ** 64n - 1n) },
);
const anyId = fc.option(fc.string({ unit: 'binary', maxLength: 6 }));
const anyPut = fc.record({ key: anyKey, sequence: anySequence, id: anyId });

type Put = { readonly key: ResumeKey; readonly sequence: bigint; readonly id: string | null };
type Command =
  | { readonly do: 'put' | 'tryPut'; readonly put: Put }
  | { readonly do: 'putMany'; readonly puts: readonly Put[] }
  | { readonly do: 'delete'; readonly key: ResumeKey; readonly ifSequence: bigint | null }
  | { readonly do: 'wait' };

const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ do: fc.constantFrom('put' as const, 'tryPut' as const), put: anyPut }),
  fc.record({ do: fc.constant('putMany' as const), puts: fc.array(anyPut, { maxLength: 5 }) }),
  fc.record({
    do: fc.constant('delete' as const),
    key: anyKey,
    ifSequence: fc.option(anySequence),
  }),
  fc.record({ do: fc.constant('wait' as const) }),
);

function putIn(model: Model, { key, sequence, id }: Put): unknown {
  const known = model.get(key.hex);
  const applied = known === undefined || sequence > known.sequence;
  if (applied) model.set(key.hex, { sequence, id });
  const current = applied ? { sequence, id } : known;
  return {
    applied,
    current: { lastCommittedSequence: current.sequence, lastEventId: current.id },
  };
}

function inModel(model: Model, command: Exclude<Command, { do: 'wait' }>): unknown {
  switch (command.do) {
    case 'put':
    case 'tryPut':
      return putIn(model, command.put);
    case 'putMany':
      return command.puts.map((put) => putIn(model, put));
    case 'delete': {
      const known = model.get(command.key.hex);
      if (known === undefined) return 'absent';
      if (command.ifSequence !== null && known.sequence > command.ifSequence) return 'superseded';
      model.delete(command.key.hex);
      return 'deleted';
    }
  }
}

const checkpointOf = ({
  sequence,
  id,
}: Put): { lastCommittedSequence: bigint; lastEventId: string | null } => ({
  lastCommittedSequence: sequence,
  lastEventId: id,
});

function inStore(
  store: CheckpointStore,
  command: Exclude<Command, { do: 'wait' }>,
): Promise<unknown> {
  switch (command.do) {
    case 'put':
      return store.put(command.put.key, checkpointOf(command.put));
    case 'tryPut':
      return store.tryPut(command.put.key, checkpointOf(command.put)) ?? Promise.resolve('full');
    case 'putMany':
      return store.putMany(command.puts.map((put) => [put.key, checkpointOf(put)] as const));
    case 'delete':
      return store.delete(
        command.key,
        command.ifSequence === null ? {} : { ifSequence: command.ifSequence },
      );
  }
}

async function agrees(store: CheckpointStore, commands: readonly Command[]): Promise<void> {
  await store.prune(() => false);
  const model: Model = new Map();
  const expected: unknown[] = [];
  const pending: Promise<unknown>[] = [];
  for (const command of commands) {
    if (command.do === 'wait') {
      await Promise.all(pending);
    } else {
      expected.push(inModel(model, command));
      pending.push(inStore(store, command));
    }
  }
  const results = await Promise.all(pending);
  results.forEach((result, index) => {
    if (fc.stringify(result) === fc.stringify(expected[index])) return;
    throw new Error(
      `operation ${index}: ${fc.stringify(result)} instead of ${fc.stringify(expected[index])}`,
    );
  });
  const found = (await listed(store.entries())).map(([key, checkpoint]) => [key.hex, checkpoint]);
  const known = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
  const wanted = known.map(([hex, { sequence, id }]) => [
    hex,
    { lastCommittedSequence: sequence, lastEventId: id },
  ]);
  if (fc.stringify(found) !== fc.stringify(wanted)) {
    throw new Error(`the store holds ${fc.stringify(found)} instead of ${fc.stringify(wanted)}`);
  }
}

eachStore('random operations, many of them pending at once, agree with a Map', async (t, kind) => {
  const { store } = await kind.open(t);
  const property = fc.asyncProperty(fc.array(anyCommand, { maxLength: 40 }), (commands) =>
    agrees(store, commands),
  );
  await t.notThrowsAsync(fc.assert(property, { seed, numRuns: 60 }));
});

// GC-4: bytes in flight stay within 16 MiB. An id of 64 KiB counts with 128 bytes more.

const big = { lastEventId: 'x'.repeat(64 * 1024) };
const FIT = Math.floor((16 * 2 ** 20) / (64 * 1024 + 128));

eachStore('GC-4: where 16 MiB are in flight, tryPut is null and put waits', async (t, kind) => {
  const { store, hold } = await kind.open(t);
  const release = await hold();
  const key = (index: number): ResumeKey => ResumeKey.named(`key ${index}`);
  const checkpoint = { lastCommittedSequence: 1n, ...big };
  const accepted = Array.from({ length: FIT }, (_, index) => store.tryPut(key(index), checkpoint));
  t.false(accepted.includes(null));
  t.is(store.tryPut(key(FIT), checkpoint), null);
  const waiting = [store.put(key(FIT), checkpoint), store.put(key(FIT + 1), checkpoint)];
  if (kind.holds) {
    // Who comes later does not overtake those who wait.
    t.is(store.tryPut(key(FIT + 2), { lastCommittedSequence: 1n }), null);
    await turns(20);
    t.false(await isSettled(Promise.race([...waiting, ...accepted])));
    t.is(store.metrics()['inFlightOperations'], FIT);
  }
  release();
  const results = await Promise.all([...accepted, ...waiting]);
  t.true(results.every((result) => result?.applied === true));
  t.is(store.size, FIT + 2);
});

eachHeldStore('GC-2: a small put does not overtake a large one that waits', async (t, kind) => {
  const { store, hold } = await kind.open(t);
  const release = await hold();
  const key = ResumeKey.named('orders');
  for (let index = 0; index < FIT; index += 1) {
    void store.put(ResumeKey.named(`key ${index}`), { lastCommittedSequence: 1n, ...big });
  }
  const large = store.put(key, { lastCommittedSequence: 1n, ...big });
  const small = store.put(key, { lastCommittedSequence: 2n });
  release();
  t.true((await large).applied);
  t.true((await small).applied);
});

for (const how of ['close', 'closeSync'] as const) {
  eachHeldStore(`GC-4: a put that waits for room: abort and ${how} reject it`, async (t, kind) => {
    const { store, hold } = await kind.open(t);
    const release = await hold();
    const checkpoint = { lastCommittedSequence: 1n, ...big };
    const puts = Array.from({ length: FIT }, (_, index) =>
      store.put(ResumeKey.named(`key ${index}`), checkpoint),
    );
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = store.put(ResumeKey.named('aborted'), checkpoint, { signal });
    const left = store.put(ResumeKey.named('left'), checkpoint);
    const reason = new Error('too long');
    controller.abort(reason);
    const rejected = Promise.all([rejection(aborted), rejection(left)]);
    release();
    await store[how]();
    const [first, second] = await rejected;
    t.is(first, reason);
    t.like(second, { code: 'TIDEMARK_CLOSED' });
    t.true((await Promise.all(puts)).every(({ applied }) => applied));
  });
}

eachStore('GC-4: one operation that exceeds the bound goes through alone', async (t, kind) => {
  const { store } = await kind.open(t);
  const checkpoint = { lastCommittedSequence: 1n, ...big };
  const entries = Array.from(
    { length: FIT + 10 },
    (_, index) => [ResumeKey.named(`key ${index}`), checkpoint] as const,
  );
  const before = store.put(ResumeKey.named('before'), checkpoint);
  const many = store.putMany(entries);
  const after = store.put(ResumeKey.named('after'), checkpoint);
  t.true((await before).applied);
  t.is((await many).length, FIT + 10);
  t.true((await after).applied);
  t.is(store.size, FIT + 12);
});
