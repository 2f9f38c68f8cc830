// The lock of the JSON store while another process holds it: GC-6 and GC-8 of docs/commit-path.md,
// lockTimeoutMs of docs/json-file-store.md. The holder is a child, running or stopped.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { JsonFileStore, ResumeKey, type TidemarkError } from '../index.ts';
import { Agent } from './support/agents.ts';
import { stateText } from './support/state-file.ts';
import { listed, openJson } from './support/stores.ts';
import { tempDir } from './support/temp-dir.ts';
import { isSettled, rejection, turns, until } from './support/wait.ts';

const orders = ResumeKey.named('orders');
const one = { lastCommittedSequence: 1n };

interface Held {
  readonly store: JsonFileStore;
  readonly file: string;
  readonly holder: Agent;
}

/** A store whose lock a child holds. */
async function held(t: ExecutionContext, lockTimeoutMs: number): Promise<Held> {
  const file = path.join(tempDir(t), 'state.json');
  const holder = new Agent(t);
  await holder.ask('lock', `${file}.lock`);
  const store = await JsonFileStore.open(file, { lockTimeoutMs });
  t.teardown(() => store.close());
  return { store, file, holder };
}

test('a put times out with the holder, definite, and a late grant writes nothing', async (t) => {
  const { store, file, holder } = await held(t, 50);
  const error = (await rejection(store.put(orders, one))) as TidemarkError;
  t.like(error, { code: 'TIDEMARK_LOCK_TIMEOUT', holder: holder.pid, path: `${file}.lock` });
  t.false('indeterminate' in error);
  t.true(error.message.includes(String(holder.pid)));
  await holder.ask('unlock', `${file}.lock`);
  // The late grant is released at once: somebody else gets the lock.
  t.true((await holder.ask('open', file).then(() => holder.ask('put', file, 'bills', 1n))).applied);
  t.is(readFileSync(file, 'utf8'), stateText([[ResumeKey.named('bills'), 1n]]));
  t.is(await store.get(orders, { fresh: true }), undefined);
  t.true((await store.put(orders, one)).applied, 'the store goes on');
});

test('every kind of operation times out, each at its own time, in any order', async (t) => {
  const { store } = await held(t, 50);
  const calls = [
    store.put(orders, one),
    store.tryPut(orders, one) ?? Promise.resolve(),
    store.putMany([[orders, one]]),
    store.delete(orders),
  ];
  for (const call of calls) {
    t.like(await rejection(call), { code: 'TIDEMARK_LOCK_TIMEOUT' });
  }
  t.throws(() => store.putSync(orders, one), { code: 'TIDEMARK_LOCK_TIMEOUT' });
  await until(() => store.metrics()['lockTimeouts'] === 5n, 'the timeouts are counted');
  t.is(store.metrics()['inFlightOperations'], 0);
});

test('a holder under SIGSTOP costs its waiters a timeout, and nobody else anything', async (t) => {
  const { store, holder } = await held(t, 100);
  await holder.stop();
  const waiting = Array.from({ length: 20 }, () => rejection(store.put(orders, one)));
  const others = await Promise.all(Array.from({ length: 5 }, () => openJson(t)));
  for (const other of others) t.true((await other.store.put(orders, one)).applied);
  t.is(await store.get(orders), undefined, 'reading needs no lock');
  t.is(await store.get(orders, { fresh: true }), undefined);
  for (const error of await Promise.all(waiting)) {
    t.like(error, { code: 'TIDEMARK_LOCK_TIMEOUT', holder: holder.pid });
  }
  holder.resume();
});

test('reading goes on while the lock is held: fresh get, refresh, entries (JF-8)', async (t) => {
  const { store, file, holder } = await held(t, 10_000);
  const put = store.put(orders, one);
  await store.refresh();
  t.deepEqual(await listed(store.entries()), []);
  t.is(await store.get(orders, { fresh: true }), undefined, 'not visible before it is durable');
  t.false(await isSettled(put));
  t.false(existsSync(file));
  await holder.ask('unlock', `${file}.lock`);
  t.true((await put).applied);
});

test('a put that is aborted while it waits for the lock is never done', async (t) => {
  const { store, file, holder } = await held(t, 10_000);
  const controller = new AbortController();
  const aborted = store.put(orders, one, { signal: controller.signal });
  const kept = store.put(ResumeKey.named('bills'), one);
  await turns(20);
  t.false(await isSettled(aborted));
  const reason = new Error('enough');
  controller.abort(reason);
  t.is(await rejection(aborted), reason);
  await holder.ask('unlock', `${file}.lock`);
  t.true((await kept).applied);
  t.is(readFileSync(file, 'utf8'), stateText([[ResumeKey.named('bills'), 1n]]));
});

test('SIGKILL of the holder frees the lock at once: there is no stale lock', async (t) => {
  const { store, holder } = await held(t, 30_000);
  const put = store.put(orders, one);
  await turns(20);
  t.false(await isSettled(put));
  await holder.kill();
  t.true((await put).applied);
});

test('GC-8: close does not wait for a thread that waits for the lock', async (t) => {
  const { store, file, holder } = await held(t, 50);
  await rejection(store.put(orders, one));
  await store.close();
  const again = await JsonFileStore.open(file, { lockTimeoutMs: 20_000, mode: 0o640 });
  const put = again.put(orders, one);
  await turns(20);
  t.false(await isSettled(put));
  await holder.ask('unlock', `${file}.lock`);
  t.true((await put).applied, 'the thread that waits serves the store that was opened again');
  await again.close();
});

test('GC-8: close finishes a put that was accepted and waits for the lock', async (t) => {
  const { store, file, holder } = await held(t, 20_000);
  const put = store.put(orders, one);
  const close = store.close();
  await turns(20);
  t.false(await isSettled(close));
  await holder.ask('unlock', `${file}.lock`);
  await close;
  t.true((await put).applied);
  t.is(readFileSync(file, 'utf8'), stateText([[orders, 1n]]));
});

test('GC-8: a handle that is closed finishes its own puts while another is open', async (t) => {
  const { store, file, holder } = await held(t, 20_000);
  const second = await JsonFileStore.open(file, { lockTimeoutMs: 20_000 });
  const put = second.put(orders, one);
  const close = second.close();
  await turns(20);
  t.false(await isSettled(close));
  await holder.ask('unlock', `${file}.lock`);
  await close;
  t.true(await isSettled(put));
  t.is(store.getSync(orders)?.lastCommittedSequence, 1n);
});

test('two handles on one store wait together, and each gets its own answer', async (t) => {
  const { store, file, holder } = await held(t, 20_000);
  const second = await JsonFileStore.open(file, { lockTimeoutMs: 20_000 });
  t.teardown(() => second.close());
  const puts = [store.put(orders, one), second.put(orders, { lastCommittedSequence: 2n })];
  t.teardown(() => second.close());
  await holder.ask('unlock', `${file}.lock`);
  const results = await Promise.all(puts);
  t.deepEqual(
    results.map(({ applied, current }) => [applied, current.lastCommittedSequence]),
    [
      [true, 1n],
      [true, 2n],
    ],
  );
  t.is(store.metrics()['groups'], 1n);
});

test('a lock timeout of 0 takes the lock if it is free', async (t) => {
  const { store, file, holder } = await held(t, 0);
  t.like(await rejection(store.put(orders, one)), { code: 'TIDEMARK_LOCK_TIMEOUT' });
  await holder.ask('unlock', `${file}.lock`);
  // The thread that still waits gets the lock now, and finds nothing to do.
  await until(
    () =>
      store.put(orders, one).then(
        () => true,
        () => false,
      ),
    'the lock is free again',
  );
  t.true((await store.put(orders, { lastCommittedSequence: 2n })).applied);
});
