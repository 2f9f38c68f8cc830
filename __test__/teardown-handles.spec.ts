// Handles that are closed twice, or given to another thread: closing is idempotent and finishes
// what was accepted, and handles cannot be posted to another thread.
import { once } from 'node:events';
import path from 'node:path';
import { setImmediate as tick } from 'node:timers/promises';
import { MessageChannel, Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { FileLock, JsonFileStore, MemoryStore, ResumeKey, Wal } from '../index.ts';
import { compiled } from './support/compiled.ts';
import { openIn } from './support/process-state.ts';
import { tempDir } from './support/temp-dir.ts';
import { KIND_NAMES, type Opened, kindOf } from './teardown/accepted.ts';

/** A handle of each kind, and how to see that it still works. */
interface Handle {
  readonly handle: object;
  readonly works: () => unknown;
}

const HANDLES: Record<string, (t: ExecutionContext) => Promise<Handle>> = {
  JsonFileStore: async (t) => {
    const store = await JsonFileStore.open(path.join(tempDir(t), 'state.json'));
    t.teardown(() => store.close());
    return { handle: store, works: () => store.put(ResumeKey.named('a'), ONE) };
  },
  MemoryStore: async (t) => {
    const store = await MemoryStore.open();
    t.teardown(() => store.close());
    return { handle: store, works: () => store.put(ResumeKey.named('a'), ONE) };
  },
  Wal: async (t) => {
    const wal = await Wal.open(path.join(tempDir(t), 'log'));
    t.teardown(() => wal.close());
    return { handle: wal, works: () => wal.append(Buffer.from('a')) };
  },
  'loop over a Wal': async (t) => {
    const wal = await Wal.open(path.join(tempDir(t), 'log'));
    t.teardown(() => wal.close());
    await wal.append(Buffer.from('a'));
    const loop = wal.iterate();
    return { handle: loop, works: () => loop.next() };
  },
  FileLock: async (t) => {
    const file = path.join(tempDir(t), 'lock');
    const lock = await FileLock.acquire(file);
    const works = (): void => {
      t.is(FileLock.tryAcquire(file), null, 'it is held');
      lock.release();
      FileLock.tryAcquire(file)?.release();
    };
    return { handle: lock, works };
  },
};
const ONE = { lastCommittedSequence: 1n };

/** Every way into another thread. */
const WAYS: Record<string, (handle: object) => unknown> = {
  structuredClone: (handle) => structuredClone(handle),
  'structuredClone in a list': (handle) => structuredClone([{ handle }]),
  postMessage: (handle) => {
    const { port1 } = new MessageChannel();
    try {
      port1.postMessage({ handle });
    } finally {
      port1.close();
    }
  },
  workerData: (handle) => new Worker('', { eval: true, workerData: { handle } }),
};

for (const [name, make] of Object.entries(HANDLES)) {
  test(`${name}: a handle cannot be posted to a thread, and works on in its own`, async (t) => {
    const { handle, works } = await make(t);
    for (const [way, give] of Object.entries(WAYS)) {
      const message = /belongs to the thread that opened it/;
      t.throws(() => give(handle), { name: 'DataCloneError', message, code: 25, any: true }, way);
    }
    t.throws(() => structuredClone(handle, { transfer: [handle as ArrayBuffer] }), { any: true });
    t.false(JSON.stringify(handle).includes('thread'), 'and what prints it notices nothing');
    await works();
  });
}

/** Closes a store in many ways, one after another or at once. */
const CLOSES: Record<string, (store: Opened & AsyncDisposable) => unknown> = {
  'close, close': async (store) => {
    await store.close();
    await store.close();
  },
  'close beside close': (store) => Promise.all([store.close(), store.close()]),
  'close, closeSync': async (store) => {
    await store.close();
    store.closeSync();
  },
  'closeSync, close': async (store) => {
    store.closeSync();
    await store.close();
  },
  'closeSync, closeSync': (store) => {
    store.closeSync();
    store.closeSync();
  },
  'closeSync while close is under way': async (store) => {
    const closed = store.close();
    store.closeSync();
    await closed;
  },
  'closeSync a tick into close': async (store) => {
    const closed = store.close();
    await tick();
    store.closeSync();
    await closed;
  },
  'disposed of twice, then closed': async (store) => {
    await Promise.all([store[Symbol.asyncDispose](), store[Symbol.asyncDispose]()]);
    await store.close();
  },
};

for (const name of KIND_NAMES) {
  for (const [how, close] of Object.entries(CLOSES)) {
    test(`${name}: closed twice loses nothing and gives all back: ${how}`, async (t) => {
      const directory = tempDir(t);
      const place = path.join(directory, 'store');
      const store = await kindOf(name).open(place, 0);
      const changes = Array.from({ length: 50 }, (_, index) => `change ${index}`);
      const settled = changes.map(async (change) => {
        await kindOf(name).accept(store, change);
      });
      await close(store as Opened & AsyncDisposable);
      await Promise.all(settled);
      t.deepEqual(openIn(directory), []);
      t.deepEqual(await kindOf(name).missing(place, changes), []);
    });
  }
}

test('a lock that is released twice frees nobody else', async (t) => {
  const file = path.join(tempDir(t), 'lock');
  const first = await FileLock.acquire(file);
  first.release();
  const second = await FileLock.acquire(file);
  first.release();
  await first[Symbol.asyncDispose]();
  t.is(FileLock.tryAcquire(file), null);
  second.release();
});

test('a worker thread cannot post a handle either', async (t) => {
  const script = `
    const { parentPort } = require('node:worker_threads');
    (async () => {
      const { MemoryStore } = await import(${JSON.stringify(compiled('index.ts'))});
      const store = await MemoryStore.open();
      try {
        parentPort.postMessage(store);
      } catch (error) {
        parentPort.postMessage(error.name);
      }
    })();
  `;
  const worker = new Worker(script, { eval: true });
  t.deepEqual(await once(worker, 'message'), ['DataCloneError']);
});
