// What is no file in the place of the state file, the lock file or a temporary: a FIFO or a device
// must not hang whoever opens it. It is answered within a second, by its code, and
// nothing is opened, followed or touched.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, rmdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { FileLock, JsonFileStore, ResumeKey, writeFileAtomic } from '../index.ts';
import { picture } from './support/picture.ts';
import { isWaitedFor } from './support/process-state.ts';
import { openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';
import { rejection, until } from './support/wait.ts';

const key = ResumeKey.named('orders');
const at = (sequence: number): { lastCommittedSequence: number } => ({
  lastCommittedSequence: sequence,
});
const INVALID = 'TIDEMARK_INVALID_ARGUMENT';

type Make = (t: ExecutionContext, place: string) => Promise<void> | void;

/** A device by its numbers; where none may be made, also as root, a FIFO stands for it. */
const device =
  (...numbers: [string, string, string]): Make =>
  (t, place) => {
    try {
      execFileSync('mknod', [place, ...numbers], { stdio: 'pipe' });
    } catch (error) {
      const why = (error as { stderr?: Buffer }).stderr?.toString().trim() ?? String(error);
      t.log(`no device can be made here, a FIFO is in its place: ${why}`);
      execFileSync('mkfifo', [place]);
    }
  };

/** What may lie there instead of a file. */
const THINGS: Record<string, Make> = {
  'a FIFO': (_, place) => {
    execFileSync('mkfifo', [place]);
  },
  'a directory': (_, place) => mkdirSync(place),
  'a directory with something in it': (_, place) => {
    mkdirSync(place);
    writeFileSync(path.join(place, 'file'), 'content');
  },
  'a socket': async (t, place) => {
    const server = createServer().listen(place);
    t.teardown(() => server.close());
    await once(server, 'listening');
  },
  'a device that reads without end': device('c', '1', '5'),
  'a device that reads as empty': device('c', '1', '3'),
  'a device without a driver': device('c', '240', '77'),
  'a block device without a driver': device('b', '240', '77'),
  'a link to /dev/zero': (_, place) => {
    symlinkSync('/dev/zero', place);
  },
  'a link to /dev/null': (_, place) => {
    symlinkSync('/dev/null', place);
  },
  'a dangling link': (_, place) => {
    symlinkSync('nowhere', place);
  },
  'a link to itself': (_, place) => {
    symlinkSync(path.basename(place), place);
  },
};

const isLink = (what: string): boolean => what.includes('link');
const leadsNowhere = (what: string): boolean =>
  what === 'a dangling link' || what.endsWith('itself');

/** What a call rejects with, within the second that was promised. */
async function promptly(call: Promise<unknown>, what: string): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what}: no answer within a second`));
    }, 1000);
  });
  try {
    return await Promise.race([rejection(call), late]);
  } finally {
    clearTimeout(timer);
  }
}

for (const [what, make] of Object.entries(THINGS)) {
  const expected = leadsNowhere(what)
    ? { code: 'TIDEMARK_IO', errno: what.endsWith('itself') ? 40 : 2 }
    : { code: INVALID };

  test(`${what} in the place of the file: refused by whatever takes a path`, async (t) => {
    const directory = tempDir(t);
    const place = path.join(directory, 'place');
    await make(t, place);
    const before = picture(directory);
    const calls: Record<string, () => Promise<unknown>> = {
      open: () => JsonFileStore.open(place),
      'open to repair': () => JsonFileStore.open(place, { recover: 'quarantine' }),
      acquire: () => FileLock.acquire(place),
      write: () => writeFileAtomic(place, 'content'),
      'write without a sync': () => writeFileAtomic(place, 'content', { durable: false }),
    };
    for (const [name, call] of Object.entries(calls)) {
      t.like(await promptly(call(), name), expected, name);
    }
    t.like(
      t.throws(() => FileLock.tryAcquire(place)),
      expected,
    );
    t.deepEqual(picture(directory), before);
  });

  test(`${what} takes the place of the file while the store is open`, async (t) => {
    const { store, file } = await openJson(t);
    await store.put(key, at(1));
    rmSync(file);
    await make(t, file);
    const before = picture(path.dirname(file));
    const refused = isLink(what) ? { code: 'TIDEMARK_IO', errno: 40 } : { code: INVALID };
    const calls = {
      put: store.put(key, at(2)),
      tryPut: store.tryPut(key, at(2)) ?? Promise.resolve(),
      putMany: store.putMany([[key, at(2)]]),
      delete: store.delete(key),
      'delete if': store.delete(key, { ifSequence: 1n }),
      get: store.get(key, { fresh: true }),
      refresh: store.refresh(),
      entries: store.entries().next(),
      prune: store.prune(() => false),
    };
    for (const [name, call] of Object.entries(calls)) {
      t.like(await promptly(call, name), refused, name);
    }
    t.like(
      t.throws(() => store.putSync(key, at(2))),
      refused,
    );
    t.deepEqual(picture(path.dirname(file)), before);
    t.is(store.getSync(key)?.lastCommittedSequence, 1n, 'memory is as before');
    rmSync(file, { recursive: true });
    t.true((await store.put(key, at(2))).applied, 'the store goes on');
    t.is((await store.get(key, { fresh: true }))?.lastCommittedSequence, 2n);
  });

  test(`${what} in the place of the lock file, before and while the store is open`, async (t) => {
    const { store, file } = await openJson(t);
    const lock = `${file}.lock`;
    for (const sequence of [1, 2]) {
      await make(t, lock);
      const before = picture(path.dirname(file));
      const calls = {
        put: store.put(key, at(sequence)),
        putMany: store.putMany([[key, at(sequence)]]),
        delete: store.delete(key),
      };
      for (const [name, call] of Object.entries(calls)) {
        t.like(await promptly(call, name), { code: INVALID, path: lock }, name);
      }
      t.like(
        t.throws(() => store.putSync(key, at(sequence))),
        { code: INVALID },
      );
      t.deepEqual(picture(path.dirname(file)), before);
      // Reading needs no lock (JF-8).
      const known = sequence === 1 ? undefined : BigInt(sequence - 1);
      t.is((await store.get(key, { fresh: true }))?.lastCommittedSequence, known);
      rmSync(lock, { recursive: true });
      t.true((await store.put(key, at(sequence))).applied, 'the store goes on');
      rmSync(lock);
    }
  });

  test(`${what} with the name of a temporary stays, and hangs nobody`, async (t) => {
    const { store, file } = await openJson(t);
    const directory = path.dirname(file);
    const place = path.join(directory, `.tidemark-${'0'.repeat(32)}.tmp`);
    await make(t, place);
    const { ino } = statSync(directory);
    const before = picture(directory);
    t.true((await store.put(key, at(1))).applied);
    await writeFileAtomic(path.join(directory, 'written'), 'content');
    t.is(statSync(directory).ino, ino);
    t.deepEqual(
      picture(directory).filter((line) => line.startsWith('.tidemark-')),
      before,
    );
    t.is(store.metrics()['sweptTemporaries'], 0n);
  });
}

test('a lock file that is replaced by a directory while it is waited for', async (t) => {
  const { store, file, hold } = await openJson(t);
  const release = await hold();
  const put = store.put(key, at(1));
  await until(() => isWaitedFor(`${file}.lock`), 'the store waits for its lock');
  rmSync(`${file}.lock`);
  mkdirSync(`${file}.lock`);
  release();
  t.like(await promptly(put, 'put'), { code: INVALID, path: `${file}.lock` });
  rmdirSync(`${file}.lock`);
  t.true((await store.put(key, at(1))).applied);
});
