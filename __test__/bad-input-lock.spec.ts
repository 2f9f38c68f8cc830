// A lock file that is deleted or replaced while somebody holds it, and holders that do not move:
// L-1, GC-6, and what docs/format/state-file.md does not promise. Seen from this process and from
// others, through the addon.
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { FileLock, JsonFileStore, ResumeKey, type TidemarkError } from '../index.ts';
import { Agent } from './support/agents.ts';
import { picture } from './support/picture.ts';
import { isWaitedFor } from './support/process-state.ts';
import { stateText } from './support/state-file.ts';
import { openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';
import { isSettled, rejection, turns, until } from './support/wait.ts';

const key = ResumeKey.named('orders');
const at = (sequence: number) => ({ lastCommittedSequence: sequence });

/** What somebody may do to a lock file that is held. */
const DEEDS: Record<string, (lock: string) => void> = {
  deleted: (lock) => {
    rmSync(lock);
  },
  replaced: (lock) => {
    writeFileSync(`${lock}.new`, '');
    renameSync(`${lock}.new`, lock);
  },
};

for (const [deed, undo] of Object.entries(DEEDS)) {
  test(`a lock file that is ${deed} while another process holds it is made anew`, async (t) => {
    const file = path.join(tempDir(t), 'state.json');
    const lock = `${file}.lock`;
    const holder = new Agent(t);
    await holder.ask('lock', lock);
    const old = statSync(lock).ino;
    const store = await JsonFileStore.open(file);
    t.teardown(() => store.close());
    const waiting = store.put(key, at(1));
    await until(() => isWaitedFor(lock), 'the put waits');
    undo(lock);
    await turns(20);
    t.false(await isSettled(waiting), 'who waits, waits for the old one');
    // Whoever asks now finds the new one free: nobody can keep that from being so.
    const fresh = await FileLock.acquire(lock);
    await holder.ask('unlock', lock);
    // L-1: the grant of the old one is no lock any more.
    await until(() => isWaitedFor(lock), 'the put waits for the new one');
    t.false(existsSync(file));
    fresh.release();
    t.true((await waiting).applied);
    t.not(statSync(lock).ino, old);
    t.is(readFileSync(file, 'utf8'), stateText([[key, 1n]]));
  });

  test(`a lock file that is ${deed} between two puts is made anew, once for all`, async (t) => {
    const { store, file } = await openJson(t);
    const lock = `${file}.lock`;
    const agent = new Agent(t);
    await agent.ask('open', file);
    for (let sequence = 1; sequence <= 10; sequence += 2) {
      t.true((await store.put(key, at(sequence))).applied);
      undo(lock);
      t.true((await agent.ask('put', file, 'orders', BigInt(sequence + 1))).applied);
      const { ino } = statSync(lock);
      t.is(
        (await store.put(key, at(sequence))).current.lastCommittedSequence,
        BigInt(sequence + 1),
      );
      t.is(statSync(lock).ino, ino, 'both use the same one again');
    }
  });

  test(`FileLock: its own file is ${deed} while it is held here`, async (t) => {
    const file = path.join(tempDir(t), 'a.lock');
    const held = await FileLock.acquire(file);
    undo(file);
    const second = FileLock.tryAcquire(file);
    t.not(second, null, 'the path leads to a lock that nobody holds');
    t.is(FileLock.tryAcquire(file), null);
    held.release();
    t.is(FileLock.tryAcquire(file), null, 'the end of the old one frees only the old one');
    second?.release();
    (await FileLock.acquire(file)).release();
  });
}

/** A store whose lock a stopped process holds. */
async function stopped(
  t: ExecutionContext,
  lockTimeoutMs: number,
): Promise<{ store: JsonFileStore; file: string; holder: Agent }> {
  const file = path.join(tempDir(t), 'state.json');
  writeFileSync(file, stateText([[key, 1n]]));
  const holder = new Agent(t);
  await holder.ask('lock', `${file}.lock`);
  await holder.stop();
  const store = await JsonFileStore.open(file, { lockTimeoutMs });
  t.teardown(() => store.close());
  return { store, file, holder };
}

test('a stopped holder: every write ends at its time, and touches nothing', async (t) => {
  const TIMEOUT_MS = 200;
  const { store, file, holder } = await stopped(t, TIMEOUT_MS);
  const before = picture(path.dirname(file));
  const began = performance.now();
  const calls = {
    put: store.put(key, at(2)),
    tryPut: store.tryPut(key, at(2)) ?? Promise.resolve(),
    putMany: store.putMany([[key, at(2)]]),
    delete: store.delete(key),
    'delete if': store.delete(key, { ifSequence: 1n }),
    prune: store.prune(() => false),
  };
  const errors = Object.entries(calls).map(async ([name, call]) => {
    const error = (await rejection(call)) as TidemarkError;
    t.like(error, { code: 'TIDEMARK_LOCK_TIMEOUT', holder: holder.pid }, name);
    t.false('indeterminate' in error, name);
    // At its time: neither before it nor 5 seconds after it.
    const waited = performance.now() - began;
    t.true(waited >= TIMEOUT_MS - 1 && waited < TIMEOUT_MS + 5000, `${name}: ${waited} ms`);
  });
  const other = await openJson(t);
  t.true((await other.store.put(key, at(1))).applied, 'another store goes on meanwhile');
  await Promise.all(errors);
  t.throws(() => store.putSync(key, at(2)), { code: 'TIDEMARK_LOCK_TIMEOUT' });
  t.deepEqual(picture(path.dirname(file)), before);
  t.is((await store.get(key, { fresh: true }))?.lastCommittedSequence, 1n);
  holder.resume();
  await holder.ask('unlock', `${file}.lock`);
  t.true((await store.put(key, at(2))).applied, 'the store goes on');
});

test('a stopped holder whose lock file is deleted holds nobody up any more', async (t) => {
  const { store, file, holder } = await stopped(t, 60_000);
  const waiting = store.put(key, at(2));
  await until(() => isWaitedFor(`${file}.lock`), 'the put waits');
  rmSync(`${file}.lock`);
  // Not the one who waits already: the kernel keeps it with the old file.
  const other = new Agent(t);
  await other.ask('open', file);
  t.true((await other.ask('put', file, 'orders', 3n)).applied);
  t.false(await isSettled(waiting));
  t.is((await store.get(key, { fresh: true }))?.lastCommittedSequence, 3n);
  await holder.kill();
  t.false((await waiting).applied, 'judged on what the disk holds by then');
});
