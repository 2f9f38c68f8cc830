// Promise 6 of the README: bad input gets a typed error before anything is touched. In every
// checkpoint store, in every method; what returns a promise rejects and does not throw.
import { Buffer } from 'node:buffer';
import test, { type ExecutionContext } from 'ava';
import {
  type Checkpoint,
  type CheckpointInput,
  type CheckpointStore,
  ResumeKey,
} from '../index.ts';
import { forEachStore, listed } from './support/stores.ts';
import { until } from './support/wait.ts';

const eachStore = forEachStore(test);
const key = ResumeKey.named('orders');
const EVENT_ID_BYTES_MAX = 64 * 1024;

type Call = (store: CheckpointStore) => unknown;
type Kind = typeof TypeError | typeof RangeError;
interface Bad {
  readonly what: string;
  readonly value: unknown;
  readonly error: Kind;
}

const bad = (error: Kind, values: Record<string, unknown>): Bad[] =>
  Object.entries(values).map(([what, value]) => ({ what, value, error }));

const SEQUENCES = [
  ...bad(RangeError, {
    'minus one': -1,
    'minus one as a bigint': -1n,
    '2^64': 2n ** 64n,
    'a huge bigint': 2n ** 200n,
    NaN: Number.NaN,
    Infinity: Number.POSITIVE_INFINITY,
    'minus Infinity': Number.NEGATIVE_INFINITY,
    'a fraction': 1.5,
    'an unsafe integer': 2 ** 53,
    'a large double': 1e300,
  }),
  ...bad(TypeError, {
    'a string': '1',
    null: null,
    undefined,
    true: true,
    'an object': { valueOf: () => 1 },
    'a boxed number': new Number(1),
    'a symbol': Symbol('1'),
  }),
];

const EVENT_IDS = [
  ...bad(TypeError, {
    'a number': 1,
    true: true,
    'an object': {},
    'a boxed string': new String('id'),
    'a lone high surrogate': 'id\ud800',
    'a lone low surrogate': '\udc00id',
    'surrogates in the wrong order': '\udc00\ud800',
  }),
  ...bad(RangeError, {
    'one byte too many': 'x'.repeat(EVENT_ID_BYTES_MAX + 1),
    'one byte too many, of two-byte characters': `${'\u00e9'.repeat(EVENT_ID_BYTES_MAX / 2)}x`,
    'one byte too many, of three-byte characters': '\u20ac'.repeat(21846),
    'one byte too many, of surrogate pairs': `${'\u{1f30a}'.repeat(EVENT_ID_BYTES_MAX / 4)}x`,
  }),
];

const KEYS = bad(TypeError, {
  'its hex form': key.hex,
  'its name': 'orders',
  null: null,
  undefined,
  'a number': 5,
  'an object of the same shape': { hex: key.hex, name: 'orders' },
  'a copy': structuredClone(key),
  'its prototype': ResumeKey.prototype,
  'an object that inherits': Object.create(key) as unknown,
});

const CHECKPOINTS = bad(TypeError, {
  null: null,
  undefined,
  'a bigint': 5n,
  'a string': '5',
  'an empty object': {},
  'a wrong spelling': { last_committed_sequence: 5n },
});

const SIGNALS = bad(TypeError, {
  null: null,
  'a controller': new AbortController(),
  'an object of the same shape': { aborted: false, addEventListener: () => undefined },
  true: true,
});

const OPTIONS = bad(TypeError, {
  null: null,
  'a string': 'fresh',
  'a function': () => undefined,
  'a misspelt option': { singal: undefined },
  'an option of another method': { timeoutMs: 5 },
});

/** Runs a call on a store with one checkpoint, and requires its error and that nothing changed. */
async function refused(
  t: ExecutionContext,
  store: CheckpointStore,
  what: string,
  call: Call,
  error: Kind,
): Promise<void> {
  let result: unknown;
  try {
    result = call(store);
  } catch (thrown) {
    t.fail(`${what}: thrown, not rejected: ${String(thrown)}`);
    return;
  }
  const expected = { instanceOf: error, code: 'TIDEMARK_INVALID_ARGUMENT' };
  await t.throwsAsync(Promise.resolve(result), expected, what);
  const { keys, operations, inFlightOperations } = store.metrics();
  t.deepEqual([keys, operations, inFlightOperations], [1, 1n, 0], what);
}

async function withOne(store: CheckpointStore): Promise<CheckpointStore> {
  await store.put(key, { lastCommittedSequence: 5n });
  await until(() => store.metrics()['operations'] === 1n, 'the put is counted');
  return store;
}

const good: CheckpointInput = { lastCommittedSequence: 6n };
/** A value where the types do not allow it. */
const any = (value: unknown): never => value as never;

/** How a checkpoint can be put. */
const PUTS: Record<string, (store: CheckpointStore, key: unknown, checkpoint: unknown) => unknown> =
  {
    put: (store, key, checkpoint) => store.put(any(key), any(checkpoint)),
    tryPut: (store, key, checkpoint) => store.tryPut(any(key), any(checkpoint)),
    putMany: (store, key, checkpoint) =>
      store.putMany([
        [ResumeKey.named('before'), good],
        [any(key), any(checkpoint)],
      ]),
    putSync: (store, key, checkpoint) =>
      // eslint-disable-next-line @typescript-eslint/require-await -- to compare it with the others
      (async () => store.putSync(any(key), any(checkpoint)))(),
  };

for (const [name, put] of Object.entries(PUTS)) {
  eachStore(`${name} refuses what is not a sequence`, async (t, kind) => {
    const store = await withOne((await kind.open(t)).store);
    for (const { what, value, error } of SEQUENCES) {
      const call: Call = (store) => put(store, key, { lastCommittedSequence: value });
      await refused(t, store, what, call, error);
    }
  });

  eachStore(`${name} refuses what is not an event id, or too long in UTF-8`, async (t, kind) => {
    const store = await withOne((await kind.open(t)).store);
    for (const { what, value, error } of EVENT_IDS) {
      const call: Call = (store) => put(store, key, { ...good, lastEventId: value });
      await refused(t, store, what, call, error);
    }
  });

  eachStore(`${name} refuses what is not a key, or not a checkpoint`, async (t, kind) => {
    const store = await withOne((await kind.open(t)).store);
    for (const { what, value, error } of KEYS) {
      await refused(t, store, what, (store) => put(store, value, good), error);
    }
    for (const { what, value, error } of CHECKPOINTS) {
      await refused(t, store, what, (store) => put(store, key, value), error);
    }
  });

  eachStore(`${name} takes an event id of 64 KiB of UTF-8, of any characters`, async (t, kind) => {
    const { store } = await kind.open(t);
    const ids = ['x', '\u00e9', '\u{1f30a}'].map((text) =>
      text.repeat(EVENT_ID_BYTES_MAX / Buffer.byteLength(text)),
    );
    for (const [index, lastEventId] of [...ids, `${'\u20ac'.repeat(21845)}x`].entries()) {
      t.is(Buffer.byteLength(lastEventId), EVENT_ID_BYTES_MAX);
      await put(store, key, { lastCommittedSequence: index, lastEventId });
      t.is((await store.get(key, { fresh: true }))?.lastEventId, lastEventId);
    }
  });
}

eachStore('get, getSync and delete refuse what is not a key', async (t, kind) => {
  const store = await withOne((await kind.open(t)).store);
  for (const { what, value, error } of KEYS) {
    await refused(t, store, what, (store) => store.get(any(value)), error);
    await refused(t, store, what, (store) => store.get(any(value), { fresh: true }), error);
    await refused(t, store, what, (store) => store.delete(any(value)), error);
    const expected = { instanceOf: error, code: 'TIDEMARK_INVALID_ARGUMENT' };
    t.throws(() => store.getSync(any(value)), expected, what);
  }
});

const WITH_OPTIONS: Record<string, (store: CheckpointStore, options: unknown) => unknown> = {
  get: (store, options) => store.get(key, any(options)),
  put: (store, options) => store.put(key, good, any(options)),
  putMany: (store, options) => store.putMany([[key, good]], any(options)),
  delete: (store, options) => store.delete(key, any(options)),
  refresh: (store, options) => store.refresh(any(options)),
};

for (const [name, call] of Object.entries(WITH_OPTIONS)) {
  eachStore(`${name} refuses unknown options and what is not a signal`, async (t, kind) => {
    const store = await withOne((await kind.open(t)).store);
    for (const { what, value, error } of OPTIONS) {
      await refused(t, store, what, (store) => call(store, value), error);
    }
    for (const { what, value, error } of SIGNALS) {
      await refused(t, store, what, (store) => call(store, { signal: value }), error);
    }
  });
}

eachStore('entries refuses bad options at its first next()', async (t, kind) => {
  const store = await withOne((await kind.open(t)).store);
  const call = (options: unknown) => (store: CheckpointStore) =>
    listed(store.entries(any(options)));
  for (const { what, value, error } of OPTIONS) await refused(t, store, what, call(value), error);
  for (const prefix of [null, 5, key, '\ud800']) {
    await refused(t, store, String(prefix), call({ prefix }), TypeError);
  }
});

eachStore(
  'get refuses a flag that is not one, delete an ifSequence that is not',
  async (t, kind) => {
    const store = await withOne((await kind.open(t)).store);
    for (const fresh of [null, 0, 1, 'true']) {
      await refused(t, store, String(fresh), (store) => store.get(key, any({ fresh })), TypeError);
    }
    for (const { what, value, error } of SEQUENCES) {
      if (value === undefined) continue;
      const call: Call = (store) => store.delete(key, any({ ifSequence: value }));
      await refused(t, store, what, call, error);
    }
  },
);

eachStore('putMany refuses what does not list pairs', async (t, kind) => {
  const store = await withOne((await kind.open(t)).store);
  for (const entries of [undefined, null, 5, {}, [5], [null], [[]], [[key]], ['kv']]) {
    const call: Call = (store) => store.putMany(any(entries));
    await refused(t, store, JSON.stringify(entries), call, TypeError);
  }
});

eachStore('putMany rejects with what its iterable throws', async (t, kind) => {
  const store = await withOne((await kind.open(t)).store);
  const mistake = new Error('mine');
  const entries = (function* (): Generator<[ResumeKey, Checkpoint]> {
    yield [key, { lastCommittedSequence: 9n, lastEventId: null }];
    throw mistake;
  })();
  t.is(await t.throwsAsync(store.putMany(entries)), mistake);
  t.is(store.getSync(key)?.lastCommittedSequence, 5n);
});

eachStore('prune refuses what is not a function, also where there is nothing', async (t, kind) => {
  const { store } = await kind.open(t);
  for (const keep of [undefined, null, true, 'all', {}]) {
    const expected = { instanceOf: TypeError, code: 'TIDEMARK_INVALID_ARGUMENT' };
    await t.throwsAsync(() => store.prune(any(keep)), expected);
  }
});
