// The way into a log: GC-2 to GC-4 of docs/commit-path.md ("in flight bytes are bounded; past the
// bound append waits, tryAppend returns null"), and AbortSignal. Nothing is committed before the
// tick ends in which it is handed over, unless there is no room: that makes these tests exact.
import { Buffer } from 'node:buffer';
import process from 'node:process';
import test from 'ava';
import { hub } from '../src/hub.ts';
import { Submissions } from '../src/submissions.ts';
import { rejection, turns } from './support/wait.ts';
import { bytes, listedIn, openLog, shown, text } from './support/wals.ts';

/** What an operation counts for beside its bytes: 128, and 8 for each record. */
const SIZE = 1000;
const COUNTED = SIZE + 128 + 8;
const FIT = 10;
const ROOM = { maxInFlightBytes: FIT * COUNTED };

const record = (index: number): Uint8Array => {
  const all = new Uint8Array(SIZE).fill(0x2e);
  all.set(bytes(`${index}:`));
  return all;
};
const numberOf = (data: Uint8Array): number => Number(text(data).split(':')[0]);

test('GC-4: where the room is used up, tryAppend is null and append waits', async (t) => {
  const { wal } = await openLog(t, ROOM);
  const accepted = Array.from({ length: FIT }, (_, index) => wal.tryAppend(record(index)));
  t.false(accepted.includes(null));
  t.is(wal.metrics()['inFlightOperations'], FIT);
  t.is(wal.metrics()['inFlightBytes'], FIT * COUNTED);
  t.is(wal.tryAppend(record(FIT)), null);
  const waiting = [wal.append(record(FIT)), wal.append(record(FIT + 1))];
  t.deepEqual(
    await Promise.all([...accepted, ...waiting]),
    Array.from({ length: FIT + 2 }, (_, index) => BigInt(index + 1)),
  );
  const found = (await listedIn(wal)).map(({ data }) => numberOf(data));
  t.deepEqual(
    found,
    Array.from({ length: FIT + 2 }, (_, index) => index),
  );
  t.not(wal.tryAppend(bytes('small')), null);
});

test('GC-4: who has to wait for room is not overtaken', async (t) => {
  const submissions = new Submissions('a log', () => false);
  const handed: [name: string, ticket: number][] = [];
  let room = false;
  const handOver = (name: string) => (ticket: number) => {
    handed.push([name, ticket]);
    return room;
  };
  const first = submissions.submit({ handOver: handOver('first') }, undefined);
  room = true;
  t.is(submissions.trySubmit(handOver('second')), null);
  submissions.credit();
  const third = submissions.trySubmit(handOver('third'));
  t.deepEqual(
    handed.map(([name]) => name),
    ['first', 'first', 'third'],
  );
  const settlement = { ok: true, payload: [] } as const;
  for (const [, ticket] of handed) hub.settle(ticket, settlement);
  t.deepEqual(await Promise.all([first, third]), [settlement, settlement]);
});

test('what waits for room was copied when it was called', async (t) => {
  const { wal } = await openLog(t, ROOM);
  const reused = new Uint8Array(SIZE);
  const list = [reused, reused];
  const appends: Promise<unknown>[] = [];
  for (let index = 0; index < 100; index += 1) {
    reused.set(record(index));
    const many = index % 3 === 0;
    appends.push(many ? wal.appendMany(list) : wal.append(Buffer.from(reused.buffer)));
  }
  reused.fill(0);
  await Promise.all(appends);
  const expected = Array.from({ length: 100 }, (_, index) =>
    index % 3 === 0 ? [index, index] : [index],
  );
  const found = (await listedIn(wal)).map(({ data }) => numberOf(data));
  t.deepEqual(found, expected.flat());
});

test('GC-4: one batch that exceeds the bound goes through alone, in its order', async (t) => {
  const { wal } = await openLog(t, ROOM);
  const large = Array.from({ length: 50 }, (_, index) => record(index + 1));
  const before = wal.append(record(0));
  const many = wal.appendMany(large);
  const after = wal.append(record(51));
  await Promise.all([before, many, after]);
  const found = (await listedIn(wal)).map(({ data }) => numberOf(data));
  t.deepEqual(
    found,
    Array.from({ length: 52 }, (_, index) => index),
  );
});

test('truncate, purge, hard state and sync keep their order among appends that wait', async (t) => {
  const { wal } = await openLog(t, ROOM);
  const all: Promise<unknown>[] = Array.from({ length: 30 }, (_, index) =>
    wal.append(record(index)),
  );
  all.push(wal.truncate({ after: 20 }), wal.append(record(20)), wal.purge({ before: 5 }));
  all.push(wal.setHardState(bytes('state')), wal.append(record(21)));
  const synced = wal.sync();
  await Promise.all(all);
  t.is(await synced, 22n);
  const found = (await listedIn(wal)).map(({ data }) => numberOf(data));
  t.deepEqual(
    found,
    Array.from({ length: 18 }, (_, index) => index + 4),
  );
});

test('10,000 appends with room for ten have the order of their calls', async (t) => {
  const { wal } = await openLog(t, ROOM);
  const lsns = await Promise.all(
    Array.from({ length: 10_000 }, (_, index) => wal.append(bytes(`${index}:`))),
  );
  t.true(lsns.every((lsn, index) => lsn === BigInt(index + 1)));
  t.true((await listedIn(wal)).every(({ data }, index) => numberOf(data) === index));
});

test('GC-3: an aborted append that is queued has the reason, and is not there', async (t) => {
  const { wal } = await openLog(t);
  const reason = new Error('mine');
  const controller = new AbortController();
  const { signal } = controller;
  const kept = wal.append(bytes('kept'));
  const aborted = [
    wal.append(bytes('aborted'), { signal }),
    wal.appendMany([bytes('aborted')], { signal, hardState: bytes('aborted') }),
  ];
  const last = wal.append(bytes('last'));
  controller.abort(reason);
  for (const append of aborted) t.is(await rejection(append), reason);
  t.deepEqual([await kept, await last], [1n, 2n]);
  t.deepEqual(shown(await listedIn(wal)), ['1: kept', '2: last']);
  t.is(wal.hardState, null);
  t.is(wal.metrics()['withdrawn'], 2n);
  t.is(await rejection(wal.append(bytes('x'), { signal })), reason, 'and before it begins');
  t.is(wal.lastLsn, 2n);
});

test('GC-4: an append that waits for room can be aborted, and close rejects it', async (t) => {
  for (const how of ['close', 'closeSync'] as const) {
    const { wal, directory } = await openLog(t, ROOM);
    const controller = new AbortController();
    const { signal } = controller;
    const accepted = Array.from({ length: FIT }, (_, index) => wal.append(record(index)));
    const aborted = rejection(wal.append(record(100), { signal }));
    const left = rejection(wal.append(record(101)));
    const reason = new Error('mine');
    controller.abort(reason);
    await wal[how]();
    t.is(await aborted, reason);
    t.like(await left, { code: 'TIDEMARK_CLOSED' }, 'it was never accepted');
    t.is((await Promise.all(accepted)).at(-1), BigInt(FIT));
    const { wal: again } = await openLog(t, ROOM, directory);
    t.is(again.lastLsn, BigInt(FIT));
  }
});

test('an abort at any moment: rejected means not there, resolved means there', async (t) => {
  const { wal } = await openLog(t);
  const expected: string[] = [];
  for (let round = 0; round < 100; round += 1) {
    const controller = new AbortController();
    const busy = wal.append(bytes(`busy ${round}`));
    expected.push(`busy ${round}`);
    const append = wal.append(bytes(`round ${round}`), { signal: controller.signal });
    await turns(round % 3);
    controller.abort();
    const outcome = await append.then(
      () => 'appended',
      (error: unknown) => (error as Error).name,
    );
    if (outcome === 'appended') expected.push(`round ${round}`);
    else t.is(outcome, 'AbortError');
    await busy;
  }
  t.deepEqual((await listedIn(wal)).map(text), expected);
});

test('an abort after the end does nothing, and one signal serves many calls', async (t) => {
  const { wal } = await openLog(t);
  const warnings: unknown[] = [];
  const warned = (warning: unknown): void => void warnings.push(warning);
  process.on('warning', warned);
  t.teardown(() => process.off('warning', warned));
  const controller = new AbortController();
  const { signal } = controller;
  const appends = Array.from({ length: 50 }, () => wal.append(bytes('x'), { signal }));
  await Promise.all(appends);
  controller.abort();
  await turns(2);
  t.is(wal.lastLsn, 50n);
  const leaks = warnings.filter((warning) => String(warning).includes('MaxListeners'));
  t.deepEqual(leaks, []);
});

test('close waits for what was accepted, and results come before it', async (t) => {
  const { wal } = await openLog(t);
  const order: string[] = [];
  const append = wal.append(bytes('a')).then(() => order.push('append'));
  const close = wal.close().then(() => order.push('close'));
  await Promise.all([append, close, wal.close()]);
  t.deepEqual(order, ['append', 'close']);
});
