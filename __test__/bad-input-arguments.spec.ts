// Arguments that are not what they seem: promise 6 of the README, where
// checkpoint-store-input.spec.ts ends. Values that convert, getters and proxies that throw or
// change, keys that nobody made here, and options in the wrong place.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';
import test, { type ExecutionContext } from 'ava';
import {
  type CheckpointStore,
  FileLock,
  JsonFileStore,
  MemoryStore,
  ResumeKey,
  writeFileAtomic,
} from '../index.ts';
import { compiled } from './support/compiled.ts';
import { picture } from './support/picture.ts';
import { forEachStore, openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';
import { rejection } from './support/wait.ts';

const eachStore = forEachStore(test);
const key = ResumeKey.named('orders');
const INVALID = { code: 'TIDEMARK_INVALID_ARGUMENT' };
/** A value where the types do not allow it. */
const any = (value: unknown): never => value as never;

/** How a checkpoint can be put, each as a promise. */
const PUTS: Record<string, (store: CheckpointStore, key: unknown, checkpoint: unknown) => unknown> =
  {
    put: (store, key, checkpoint) => store.put(any(key), any(checkpoint)),
    tryPut: (store, key, checkpoint) => store.tryPut(any(key), any(checkpoint)),
    putMany: (store, key, checkpoint) => store.putMany([[any(key), any(checkpoint)]]),
    // eslint-disable-next-line @typescript-eslint/require-await -- to compare it with the others
    putSync: async (store, key, checkpoint) => store.putSync(any(key), any(checkpoint)),
  };

/** Runs calls on a JSON store with one checkpoint; file and memory must stay as they are. */
async function untouched(
  t: ExecutionContext,
  check: (store: JsonFileStore) => Promise<void>,
): Promise<void> {
  const { store, file } = await openJson(t);
  await store.put(key, { lastCommittedSequence: 5n, lastEventId: 'five' });
  const before = picture(path.dirname(file));
  const { operations } = store.metrics();
  await check(store);
  t.deepEqual(picture(path.dirname(file)), before);
  t.is(store.metrics()['operations'], operations, 'nothing was handed over');
  t.deepEqual(store.getSync(key), { lastCommittedSequence: 5n, lastEventId: 'five' });
  const six = await store.put(key, { lastCommittedSequence: 6n });
  t.true(six.applied, 'the store goes on');
}

test('what converts to a sequence is none, in every method', async (t) => {
  const values: unknown[] = [
    { valueOf: () => 6 },
    { [Symbol.toPrimitive]: () => 6n },
    Object(6n),
    new Number(6),
    [6],
    ['6'],
    new Date(6),
    '6',
    '0x6',
    '',
    Symbol.for('6'),
    () => 6,
    Object.assign(() => 6, {
      toString(): string {
        throw new Error('not to be called');
      },
    }),
    2 ** 53,
    2 ** 53 + 2,
    -(2 ** 53),
    -Number.MIN_VALUE,
    0.1 + 0.2,
    2n ** 64n,
    -1n,
  ];
  await untouched(t, async (store) => {
    for (const value of values) {
      for (const [name, put] of Object.entries(PUTS)) {
        const call = put(store, key, { lastCommittedSequence: value }) as Promise<unknown>;
        t.like(await rejection(call), INVALID, `${name} ${typeof value}`);
      }
      const call = store.delete(key, { ifSequence: any(value) });
      t.like(await rejection(call), INVALID, `delete ${typeof value}`);
    }
  });
});

eachStore('the edges of a sequence are taken, and come out as bigints', async (t, kind) => {
  const { store } = await kind.open(t);
  const given = [-0, 0, 1, Number.MAX_SAFE_INTEGER, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
  const current: unknown[] = [];
  for (const lastCommittedSequence of given) {
    current.push((await store.put(key, { lastCommittedSequence })).current.lastCommittedSequence);
  }
  const expected = [0n, 0n, 1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
  t.deepEqual(current, expected);
  t.is(await store.delete(key, { ifSequence: -0 }), 'superseded');
  t.is(await store.delete(key, { ifSequence: 2n ** 64n - 1n }), 'deleted');
});

test('what a getter or a proxy throws comes out of the call, and nothing is touched', async (t) => {
  const mistake = new Error('mine');
  const thrower = (): never => {
    throw mistake;
  };
  const bad = new Proxy({}, { get: thrower, has: thrower, ownKeys: thrower });
  const checkpoint = { lastCommittedSequence: 6n };
  const late = {
    lastCommittedSequence: 6n,
    get lastEventId() {
      return thrower();
    },
  };
  await untouched(t, async (store) => {
    for (const [name, put] of Object.entries(PUTS)) {
      for (const given of [bad, late]) {
        t.is(await rejection(put(store, key, given) as Promise<unknown>), mistake, name);
      }
    }
    const calls = [
      store.put(key, checkpoint, any(bad)),
      store.putMany([[key, checkpoint]], any(bad)),
      store.putMany(any(bad)),
      store.putMany([[key, checkpoint], any(new Proxy([], { get: thrower }))]),
      store.delete(key, any(bad)),
      store.get(key, any(bad)),
      store.refresh(any(bad)),
      store.entries(any(bad)).next(),
      JsonFileStore.open('/nowhere/state.json', any(bad)),
      FileLock.acquire('/nowhere/lock', any(bad)),
      writeFileAtomic('/nowhere/file', 'content', any(bad)),
    ];
    for (const call of calls) t.is(await rejection(call), mistake);
  });
});

test('an option that changes between two reads is read once', async (t) => {
  const { store, file } = await openJson(t);
  /** Answers with each of the values, then with the last one. */
  const changing = (name: string, ...values: unknown[]): object => {
    const left = [...values];
    return Object.defineProperty({}, name, {
      enumerable: true,
      get: () => (left.length > 1 ? left.shift() : left[0]),
    });
  };
  const put = store.put(key, any(changing('lastCommittedSequence', 7, 'seven')));
  t.is((await put).current.lastCommittedSequence, 7n);
  t.is(await store.delete(key, changing('ifSequence', 6n, undefined)), 'superseded');
  await store.get(key, changing('fresh', true, 'yes'));
  const copy = path.join(path.dirname(file), 'copy');
  await writeFileAtomic(copy, 'x', changing('mode', 0o640, 0o7777));
  t.regex(picture(path.dirname(file)).join('\n'), /^copy \d+ 100640 /m);
  t.is((await store.entries(changing('prefix', undefined, 5)).next()).done, false);
});

test('arrays with holes, thenables and strings list no pairs', async (t) => {
  const good = [key, { lastCommittedSequence: 6n }] as const;
  const lists: Record<string, unknown> = {
    'a hole': [good, , good],
    'only holes': new Array(3),
    'a pair with a hole': [good, [, { lastCommittedSequence: 6n }]],
    'a pair without a checkpoint': [good, [key, ,]],
    'a promise of pairs': Promise.resolve([good]),
    'a thenable': { then: (resolve: (value: unknown) => void) => resolve([good]) },
    'promises of pairs': [Promise.resolve(good)],
    'a string': 'kv',
    'an async iterable': { [Symbol.asyncIterator]: () => undefined },
    'an array-like': { 0: good, length: 1 },
    'one pair': good,
  };
  await untouched(t, async (store) => {
    for (const [what, list] of Object.entries(lists)) {
      t.like(await rejection(store.putMany(any(list))), INVALID, what);
    }
    const promised = Promise.resolve({ lastCommittedSequence: 6n });
    t.like(await rejection(store.put(key, any(promised))), INVALID, 'a promised checkpoint');
  });
});

test('a getter that closes the store is no way around its end', async (t) => {
  for (const [name, put] of Object.entries(PUTS)) {
    const { store, file } = await openJson(t);
    const before = picture(path.dirname(file));
    const closing = {
      get lastCommittedSequence() {
        store.closeSync();
        return 1n;
      },
    };
    const call = put(store, key, closing) as Promise<unknown>;
    t.like(await rejection(call), { code: 'TIDEMARK_CLOSED' }, name);
    t.deepEqual(picture(path.dirname(file)), before);
  }
});

test('a key is only what this copy of the package made', async (t) => {
  const other = (await import(pathToFileURL(compiled('index.ts')).href)) as {
    ResumeKey: typeof ResumeKey;
  };
  t.not(other.ResumeKey, ResumeKey);
  class Subclass extends (ResumeKey as unknown as new (...args: unknown[]) => object) {
    constructor() {
      super(Symbol('ours'), new Uint8Array(32));
    }
  }
  const made = new Proxy(ResumeKey.named('orders'), {});
  const keys: Record<string, unknown> = {
    'of another copy': other.ResumeKey.named('orders'),
    'a proxy of one': made,
    'an object with its members': { hex: key.hex, name: key.name, toString: () => key.hex },
    'its digest': Buffer.from(key.hex, 'hex'),
    'an array of it': [key],
  };
  await untouched(t, async (store) => {
    for (const [what, given] of Object.entries(keys)) {
      for (const [name, put] of Object.entries(PUTS)) {
        const call = put(store, given, { lastCommittedSequence: 6n }) as Promise<unknown>;
        t.like(await rejection(call), INVALID, `${name}: ${what}`);
      }
      t.like(await rejection(store.get(any(given))), INVALID, what);
      t.like(await rejection(store.delete(any(given))), INVALID, what);
      t.throws(() => store.getSync(any(given)), INVALID, what);
    }
    t.throws(() => new Subclass(), { ...INVALID, instanceOf: TypeError });
  });
});

test('nobody else constructs a key, a store or a lock: it says what to call', (t) => {
  const classes = { ResumeKey, JsonFileStore, MemoryStore, FileLock };
  const args: unknown[][] = [[], ['orders'], [new Uint8Array(32)], [{ id: 1, handle: {} }]];
  args.push([Symbol('ours'), new Uint8Array(32), 'orders']);
  for (const [name, made] of Object.entries(classes)) {
    for (const given of args) {
      const construct = (): unknown =>
        Reflect.construct(made as unknown as new (...args: unknown[]) => unknown, given);
      t.throws(construct, { ...INVALID, instanceOf: TypeError, message: /call / }, name);
    }
  }
});

test('hex that is not a key: by its length, its digits, its type', (t) => {
  const { hex } = key;
  const fullWidth = String.fromCharCode(0xff10);
  const bad: unknown[] = ['', hex.slice(1), `${hex}0`, `${hex.slice(1)}g`, ` ${hex}`, `${hex}\n`];
  bad.push(`0x${hex.slice(2)}`, `${hex.slice(1)}${fullWidth}`, `\0${hex.slice(1)}`, key, null, 5);
  for (const given of bad) {
    t.throws(() => ResumeKey.fromHex(any(given)), { ...INVALID, instanceOf: TypeError });
  }
  t.true(ResumeKey.fromHex(hex.toUpperCase()).equals(key));
});

test('a signal or a list in the place of options is refused, not ignored', async (t) => {
  const checkpoint = { lastCommittedSequence: 6n };
  const directory = tempDir(t);
  const inherits = Object.create(AbortSignal.prototype) as AbortSignal;
  await untouched(t, async (store) => {
    for (const given of [AbortSignal.abort(), [], [{ fresh: true }], { signal: inherits }]) {
      const calls = [
        store.put(key, checkpoint, any(given)),
        store.putMany([[key, checkpoint]], any(given)),
        store.delete(key, any(given)),
        store.get(key, any(given)),
        store.refresh(any(given)),
        store.entries(any(given)).next(),
        JsonFileStore.open(path.join(directory, 'state.json'), any(given)),
        FileLock.acquire(path.join(directory, 'lock'), any(given)),
        writeFileAtomic(path.join(directory, 'file'), 'content', any(given)),
      ];
      for (const call of calls) t.like(await rejection(call), INVALID);
      t.throws(() => FileLock.tryAcquire(path.join(directory, 'lock'), any(given)), INVALID);
    }
  });
  t.deepEqual(picture(directory), []);
});

test('bytes are known by what they are: not by a prototype, and of every realm', async (t) => {
  const file = path.join(tempDir(t), 'file');
  const proxy = new Proxy(new Uint8Array(3), {});
  for (const given of [Object.create(Uint8Array.prototype), proxy, new Uint8ClampedArray(3)]) {
    t.like(await rejection(writeFileAtomic(file, any(given))), INVALID);
  }
  t.deepEqual(picture(path.dirname(file)), []);
  await writeFileAtomic(file, vm.runInNewContext('new Uint8Array([1, 2, 3])') as Uint8Array);
  t.regex(picture(path.dirname(file)).join(), / 010203$/);
});
