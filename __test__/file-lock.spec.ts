// FileLock in one process, between worker threads and between processes: L-1 to L-4 of
// crates/core/src/file_lock/mod.rs, and promise 3 of the README.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import test, { type ExecutionContext } from 'ava';
import { FileLock, type TidemarkError } from '../index.ts';
import { Agent } from './support/agents.ts';
import { compiled } from './support/compiled.ts';
import type { LockQuestion } from './support/lock-worker.ts';
import { tempDir } from './support/temp-dir.ts';
import { isSettled, rejection, turns } from './support/wait.ts';

const INVALID = 'TIDEMARK_INVALID_ARGUMENT';
const TIMEOUT = 'TIDEMARK_LOCK_TIMEOUT';
const newFile = (t: ExecutionContext): string => path.join(tempDir(t), 'a.lock');
/** A value where the types do not allow it. */
const any = (value: unknown): never => value as never;

test('an exclusive lock keeps every other out of the same file, in the same process', async (t) => {
  const file = newFile(t);
  const lock = await FileLock.acquire(file);
  t.is(FileLock.tryAcquire(file), null);
  t.is(FileLock.tryAcquire(file, { mode: 'shared' }), null);
  const waiting = FileLock.acquire(file);
  await turns(20);
  t.false(await isSettled(waiting));
  lock.release();
  const next = await waiting;
  t.is(FileLock.tryAcquire(file), null);
  next.release();
  FileLock.tryAcquire(file)?.release();
});

test('shared locks are held together, and keep an exclusive one out', async (t) => {
  const file = newFile(t);
  const shared = await Promise.all([
    FileLock.acquire(file, { mode: 'shared' }),
    FileLock.acquire(file, { mode: 'shared' }),
  ]);
  const third = FileLock.tryAcquire(file, { mode: 'shared' });
  t.not(third, null);
  t.is(FileLock.tryAcquire(file, { mode: 'exclusive' }), null);
  const exclusive = FileLock.acquire(file);
  for (const lock of shared) lock.release();
  await turns(20);
  t.false(await isSettled(exclusive));
  third?.release();
  (await exclusive).release();
});

test('release is idempotent and frees only its own lock', async (t) => {
  const file = newFile(t);
  const first = await FileLock.acquire(file);
  first.release();
  first.release();
  const second = FileLock.tryAcquire(file);
  t.not(second, null);
  first.release();
  t.is(FileLock.tryAcquire(file), null);
  second?.release();
});

test('a lock is async-disposable: leaving its scope frees it', async (t) => {
  const file = newFile(t);
  const lock = await FileLock.acquire(file);
  await lock[Symbol.asyncDispose]();
  const next = FileLock.tryAcquire(file);
  t.not(next, null);
  await lock[Symbol.asyncDispose]();
  t.is(FileLock.tryAcquire(file), null);
  next?.release();
});

test('a hundred acquires of one file are granted one after the other', async (t) => {
  const file = newFile(t);
  let [holders, most, granted] = [0, 0, 0];
  const take = async (): Promise<void> => {
    const lock = await FileLock.acquire(file, { timeoutMs: 60_000 });
    holders += 1;
    most = Math.max(most, holders);
    await turns(1);
    holders -= 1;
    granted += 1;
    lock.release();
  };
  await Promise.all(Array.from({ length: 100 }, take));
  t.deepEqual([most, granted], [1, 100]);
});

test('L-4: a new lock file has mode 0600 and stays empty, an old one stays as it is', async (t) => {
  const file = newFile(t);
  (await FileLock.acquire(file)).release();
  t.is(statSync(file).mode & 0o7777, 0o600);
  t.is(statSync(file).size, 0);
  const other = `${file}.other`;
  writeFileSync(other, 'content', { mode: 0o644 });
  const { mode } = statSync(other);
  (await FileLock.acquire(other)).release();
  FileLock.tryAcquire(other)?.release();
  t.is(readFileSync(other, 'utf8'), 'content');
  t.is(statSync(other).mode, mode);
  t.deepEqual(readdirSync(path.dirname(file)).sort(), ['a.lock', 'a.lock.other']);
});

test('a timeout tells the holder, and leaves nothing behind', async (t) => {
  const file = newFile(t);
  const holder = new Agent(t);
  await holder.ask('lock', file);
  const error = (await rejection(FileLock.acquire(file, { timeoutMs: 50 }))) as TidemarkError;
  t.like(error, { code: TIMEOUT, holder: holder.pid, path: file });
  t.false('indeterminate' in error);
  t.like(await rejection(FileLock.acquire(file, { timeoutMs: 0 })), { code: TIMEOUT });
  await holder.ask('unlock', file);
  // The thread that still waits gets the lock, finds nothing to do, and frees it (L-3).
  (await FileLock.acquire(file)).release();
  t.true(await holder.ask('tryLock', file));
});

test('L-3: an abort while waiting rejects, and a late grant goes to the next', async (t) => {
  const file = newFile(t);
  const lock = await FileLock.acquire(file);
  const controller = new AbortController();
  const aborted = FileLock.acquire(file, { signal: controller.signal });
  const next = FileLock.acquire(file);
  await turns(20);
  const reason = new Error('enough');
  controller.abort(reason);
  t.is(await rejection(aborted), reason);
  t.false(await isSettled(next));
  lock.release();
  (await next).release();
  FileLock.tryAcquire(file)?.release();
});

test('an abort at any moment leaves no lock behind', async (t) => {
  const file = newFile(t);
  for (let round = 0; round < 200; round += 1) {
    const controller = new AbortController();
    const acquired = FileLock.acquire(file, { signal: controller.signal }).then(
      (lock) => {
        lock.release();
      },
      (error: unknown) => {
        t.is((error as Error).name, 'AbortError');
      },
    );
    await turns(round % 5);
    controller.abort();
    await acquired;
    // Were an aborted request granted all the same, nobody would ever free it.
    if (round % 20 === 0) (await FileLock.acquire(file, { timeoutMs: 30_000 })).release();
  }
  (await FileLock.acquire(file, { timeoutMs: 30_000 })).release();
});

test('a signal that is aborted already: its reason, and no file is made', async (t) => {
  const file = newFile(t);
  const reason = new Error('before');
  const signal = AbortSignal.abort(reason);
  t.is(await rejection(FileLock.acquire(file, { signal })), reason);
  t.deepEqual(readdirSync(path.dirname(file)), []);
});

test('a process and its child exclude each other; shared locks go together', async (t) => {
  const file = newFile(t);
  const agent = new Agent(t);
  const lock = await FileLock.acquire(file);
  t.false(await agent.ask('tryLock', file));
  t.false(await agent.ask('tryLock', file, 'shared'));
  const theirs = agent.ask('lock', file);
  lock.release();
  await theirs;
  t.is(FileLock.tryAcquire(file), null);
  await agent.ask('unlock', file);
  await agent.ask('lock', file, 'shared');
  const shared = FileLock.tryAcquire(file, { mode: 'shared' });
  t.not(shared, null);
  t.is(FileLock.tryAcquire(file), null);
  shared?.release();
});

test('SIGKILL of the holder frees the lock at once: there is no stale lock', async (t) => {
  const file = newFile(t);
  const agent = new Agent(t);
  await agent.ask('lock', file);
  const waiting = FileLock.acquire(file, { timeoutMs: 60_000 });
  await turns(20);
  t.false(await isSettled(waiting));
  await agent.kill();
  (await waiting).release();
});

test('a stopped holder wedges nobody who does not want its lock', async (t) => {
  const file = newFile(t);
  const agent = new Agent(t);
  await agent.ask('lock', file);
  await agent.stop();
  const waiting = Array.from({ length: 10 }, () => FileLock.acquire(file, { timeoutMs: 100 }));
  for (let index = 0; index < 10; index += 1) {
    (await FileLock.acquire(`${file}.${index}`)).release();
  }
  const errors = await Promise.all(waiting.map((acquired) => rejection(acquired)));
  for (const error of errors) t.like(error, { code: TIMEOUT, holder: agent.pid });
  agent.resume();
});

test('worker threads of one process exclude each other', async (t) => {
  const file = newFile(t);
  const worker = new Worker(compiled('__test__/support/lock-worker.ts'));
  const ask = async (question: LockQuestion['do']): Promise<boolean> => {
    worker.postMessage({ do: question, file } satisfies LockQuestion);
    return ((await once(worker, 'message')) as [boolean])[0];
  };
  const lock = await FileLock.acquire(file);
  t.false(await ask('try'));
  const theirs = ask('acquire');
  lock.release();
  t.true(await theirs);
  t.is(FileLock.tryAcquire(file), null);
  await ask('release');
  const mine = await FileLock.acquire(file);
  mine.release();
  t.true(await ask('acquire'));
  const waiting = FileLock.acquire(file, { timeoutMs: 60_000 });
  await worker.terminate();
  (await waiting).release();
});

test('L-1: a lock file that is replaced while it is waited for is not the lock', async (t) => {
  const file = newFile(t);
  const old = await FileLock.acquire(file);
  const waiting = FileLock.acquire(file, { timeoutMs: 60_000 });
  await turns(20);
  writeFileSync(`${file}.new`, '');
  renameSync(`${file}.new`, file);
  const other = FileLock.tryAcquire(file);
  t.not(other, null, 'the file that the path leads to is free');
  old.release();
  await turns(50);
  t.false(await isSettled(waiting), 'the old file is not what was asked for');
  other?.release();
  (await waiting).release();
});

test('symbolic links lead to the lock of the real file', async (t) => {
  const file = newFile(t);
  writeFileSync(file, '');
  symlinkSync('a.lock', `${file}.link`);
  const lock = await FileLock.acquire(`${file}.link`);
  t.is(FileLock.tryAcquire(file), null);
  lock.release();
});

const isError = (code: string, errno?: number): object => ({
  code,
  ...(errno === undefined ? {} : { errno }),
});

test('what cannot be locked is refused, by acquire and by tryAcquire', async (t) => {
  const directory = tempDir(t);
  const at = (name: string): string => path.join(directory, name);
  mkdirSync(at('folder'));
  writeFileSync(at('file'), '');
  symlinkSync('nowhere', at('dangling'));
  symlinkSync('loop', at('loop'));
  symlinkSync('folder', at('link'));
  execFileSync('mkfifo', [at('fifo')]);
  const expected: [unknown, object][] = [
    ...['', '\0', at('folder'), at('link'), at('fifo'), `${at('file')}/`, '/dev/null', '/'].map(
      (file): [unknown, object] => [file, isError(INVALID)],
    ),
    ...[5, null, undefined, Buffer.from('x'), '\ud800'].map((file): [unknown, object] => [
      file,
      isError(INVALID),
    ]),
    [at('missing/a.lock'), isError('TIDEMARK_IO', 2)],
    [at('file/a.lock'), isError('TIDEMARK_IO', 20)],
    [at('dangling'), isError('TIDEMARK_IO', 2)],
    [at('loop'), isError('TIDEMARK_IO', 40)],
  ];
  for (const [file, error] of expected) {
    t.like(await rejection(FileLock.acquire(any(file))), error, String(file));
    t.like(
      t.throws(() => FileLock.tryAcquire(any(file))),
      error,
      String(file),
    );
  }
});

test('bad options are refused before anything is touched', async (t) => {
  const file = newFile(t);
  const bad: unknown[] = [null, 5, { timeout: 5 }, { mode: 'read' }, { mode: null }];
  bad.push({ timeoutMs: -1 }, { timeoutMs: 1.5 }, { timeoutMs: '1' }, { timeoutMs: 2 ** 32 });
  bad.push({ signal: {} }, { allowNetworkFs: 1 });
  for (const options of bad) {
    await t.throwsAsync(() => FileLock.acquire(file, any(options)), { code: INVALID });
  }
  for (const options of [null, { timeoutMs: 5 }, { signal: undefined }, { mode: 'x' }]) {
    t.throws(() => FileLock.tryAcquire(file, any(options)), { code: INVALID });
  }
  t.deepEqual(readdirSync(path.dirname(file)), []);
});
