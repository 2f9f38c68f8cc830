// A process that has no descriptors, memory or threads left: promise 6 of the README (nothing ends
// the Node process), JF-7, AW-3. Every call fails with a code or
// does what it was asked for; nothing is poisoned for want of a descriptor.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  openSync,
  readFileSync,
  readdirSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
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
import { limit } from './support/limits.ts';
import { isWaitedFor, openIn } from './support/process-state.ts';
import { replaceFile, stateText } from './support/state-file.ts';
import { openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';
import { becomeUnprivileged, unlessRoot } from './support/unprivileged.ts';
import { rejection, until } from './support/wait.ts';

// Root's threads are not limited, and its other limits would not bind an ordinary user.
const stillRoot = becomeUnprivileged();

const key = ResumeKey.named('orders');
const at = (sequence: number) => ({ lastCommittedSequence: sequence });
const EMFILE = 24;

/** Takes all descriptors of a process that may have few, but for some. */
function takeDescriptors(t: ExecutionContext): (left: number) => void {
  limit('nofile', 100);
  const taken: number[] = [];
  t.teardown(() => {
    for (const descriptor of taken) closeSync(descriptor);
    limit('nofile', 'unlimited');
  });
  return (left) => {
    for (const descriptor of taken.splice(0)) closeSync(descriptor);
    try {
      for (;;) taken.push(openSync('/dev/null', 'r'));
    } catch (error) {
      t.is((error as NodeJS.ErrnoException).code, 'EMFILE');
    }
    for (const descriptor of taken.splice(0, left)) closeSync(descriptor);
  };
}

/** Whether a call did its work; if not, it must say that it did nothing. */
async function done(t: ExecutionContext, call: Promise<unknown>, what: string): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    t.like(error, { code: 'TIDEMARK_IO', errno: EMFILE }, what);
    t.false('indeterminate' in (error as TidemarkError), `${what}: definite`);
    return false;
  }
}

test.serial('with few descriptors left, every call is definite and poisons nothing', async (t) => {
  const { store, file } = await openJson(t);
  const directory = path.dirname(file);
  const at0 = (name: string): string => path.join(directory, name);
  await store.put(key, at(1));
  const leave = takeDescriptors(t);
  let [sequence, refused, taken] = [1, 0, 0];
  for (let left = 0; left < 8; left += 1) {
    const calls: Record<string, () => Promise<boolean>> = {
      put: async () => {
        const before = readFileNow(file);
        const put = await done(t, store.put(key, at(sequence + 1)), `put with ${left} left`);
        if (put) sequence += 1;
        else t.is(readFileNow(file), before);
        t.is(store.getSync(key)?.lastCommittedSequence, BigInt(sequence));
        return put;
      },
      get: () => done(t, store.get(key, { fresh: true }), `get with ${left} left`),
      write: () => done(t, writeFileAtomic(at0('written'), `${left}`), `write with ${left} left`),
      lock: async () => {
        const lock = FileLock.acquire(at0('other.lock'));
        const granted = await done(t, lock, `lock with ${left} left`);
        if (granted) (await lock).release();
        return granted;
      },
      open: async () => {
        const opening = JsonFileStore.open(at0(`other-${left}.json`));
        const opened = await done(t, opening, `open with ${left} left`);
        if (opened) await (await opening).close();
        return opened;
      },
    };
    for (const call of Object.values(calls)) {
      leave(left);
      if (await call()) taken += 1;
      else refused += 1;
    }
  }
  t.true(refused > 4 && taken > 8, `${refused} refused, ${taken} done`);
  leave(50);
  t.true((await store.put(key, at(100))).applied, 'the store goes on');
  t.deepEqual(
    readdirSync(directory).filter((name) => name.endsWith('.tmp')),
    [],
  );
});

/** The content of a file where no descriptor may be left to read it with. */
function readFileNow(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

test.serial('what another process wrote is not poison for want of a descriptor', async (t) => {
  const { store, file } = await openJson(t);
  await store.put(key, at(1));
  const leave = takeDescriptors(t);
  let shown = 1n;
  for (let left = 1; left < 6; left += 1) {
    const now = BigInt(left + 1);
    leave(20);
    replaceFile(file, stateText([[key, now]]));
    leave(left - 1);
    if (await done(t, store.get(key, { fresh: true }), `get with ${left - 1} left`)) shown = now;
    t.is(store.getSync(key)?.lastCommittedSequence, shown);
  }
  t.is(shown, 6n, 'with some it was read');
  t.true((await store.put(key, at(100))).applied);
});

test.serial('a file that is larger than the memory of the process is refused', async (t) => {
  const { store, file } = await openJson(t);
  await store.put(key, at(1));
  const large = `${file}.large`;
  writeFileSync(large, '');
  truncateSync(large, 2 ** 30);
  const [, kib] = /VmSize:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  limit('as', Number(kib) * 1024 + 2 ** 29);
  t.teardown(() => {
    limit('as', 'unlimited');
  });
  const error = await rejection(JsonFileStore.open(large));
  t.like(error, { code: 'TIDEMARK_IO', errno: 12, path: large });
  t.true((await store.put(key, at(2))).applied, 'the process and its other stores go on');
  t.deepEqual(
    openIn(path.dirname(file)).filter((name) => name === large),
    [],
  );
});

// The number of root's threads has no limit.
const ordinary = unlessRoot(stillRoot, test.serial);

/** Keeps this process from starting threads until what it returns is called. */
async function withoutThreads(t: ExecutionContext): Promise<() => Promise<void>> {
  const own = `prlimit --pid ${process.pid} --nproc`;
  const ask = `${own} --raw --noheadings --output HARD`;
  const hard = execFileSync('sh', ['-c', ask], { encoding: 'utf8' }).trim();
  // Once the limit is there nothing can be started: what lifts it again waits already.
  const lift = spawn('sh', ['-c', `echo ready; read line; exec ${own}=${hard}:${hard}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => lift.kill('SIGKILL'));
  await once(lift.stdout, 'data');
  execFileSync('sh', ['-c', `exec ${own}=1:${hard}`]);
  return async () => {
    lift.stdin.end('go\n');
    await once(lift, 'exit');
  };
}

ordinary('no thread to be had: typed, and with threads again it works', async (t) => {
  const directory = tempDir(t);
  const { store } = await openJson(t);
  await store.put(key, at(1));
  const lift = await withoutThreads(t);
  const opening = await rejection(JsonFileStore.open(path.join(directory, 'new.json')));
  const put = await store.put(key, at(2));
  await lift();
  t.like(opening, { code: 'TIDEMARK_IO' });
  t.true(put.applied, 'an open store has its thread');
  t.deepEqual(readdirSync(directory), []);
  const again = await JsonFileStore.open(path.join(directory, 'new.json'));
  await again.close();
});

ordinary('GC-6: without a thread for the timeout, nobody waits for a lock', async (t) => {
  const { store, file } = await openJson(t);
  await store.put(key, at(1));
  const lock = await FileLock.acquire(`${file}.lock`);
  const lift = await withoutThreads(t);
  const put = await rejection(store.put(key, at(2)));
  const acquired = await rejection(FileLock.acquire(`${file}.lock`));
  await lift();
  t.like(put, { code: 'TIDEMARK_IO' });
  t.like(acquired, { code: 'TIDEMARK_IO' });
  const waiting = store.put(key, at(2));
  await until(() => isWaitedFor(`${file}.lock`), 'with threads again, it is waited for');
  lock.release();
  t.true((await waiting).applied);
});
