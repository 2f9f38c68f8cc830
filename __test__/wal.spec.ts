// The write-ahead log's surface: docs/wal.md, E-1 to E-4 of crates/core/src/wal/engine.rs, and what
// the defects of docs/log-defects.md (D1 to D30) would make of it.
import { Buffer } from 'node:buffer';
import { mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { Wal, type WalOptions } from '../index.ts';
import { tempDir } from './support/temp-dir.ts';
import { rejection } from './support/wait.ts';
import {
  SMALL,
  appendAll,
  bytes,
  fillSegments,
  listedIn,
  newLog,
  openLog,
  segmentsOf,
  shown,
  text,
} from './support/wals.ts';

const LEVELS = ['immediate', 'immediate_async', 'interval_1', 'interval_60000'] as const;

test('an empty log: firstLsn 1, lastLsn 0, durableLsn 0, no hard state', async (t) => {
  const { wal, directory } = await openLog(t);
  t.deepEqual([wal.firstLsn, wal.lastLsn, wal.durableLsn], [1n, 0n, 0n]);
  t.is(wal.hardState, null);
  t.deepEqual(await listedIn(wal), []);
  t.is(await wal.sync(), 0n);
  t.is(statSync(directory).mode & 0o7777, 0o700);
});

test('records get consecutive LSNs from 1, and are read as they were written', async (t) => {
  const { wal } = await openLog(t);
  t.is(await wal.append(bytes('a')), 1n);
  t.deepEqual(await appendAll(wal, 'b', 'c'), { first: 2n, last: 3n });
  t.is(wal.appendSync(bytes('d')), 4n);
  t.is(await wal.tryAppend(bytes('e')), 5n);
  t.deepEqual([wal.firstLsn, wal.lastLsn, wal.durableLsn], [1n, 5n, 5n]);
  t.deepEqual(shown([await wal.read(3n), await wal.read(1)]), ['3: c', '1: a']);
  t.deepEqual(shown(await listedIn(wal)), ['1: a', '2: b', '3: c', '4: d', '5: e']);
});

for (const io of ['pwrite', 'mmap'] as const) {
  for (const sync of LEVELS) {
    test(`${io}, ${sync}: what was appended is there after close and open`, async (t) => {
      const options: WalOptions = { io, sync };
      const { wal, directory } = await openLog(t, options);
      for (const name of ['a', 'b']) await wal.append(bytes(name));
      await wal.append(bytes('c'), { sync: 'immediate' });
      t.is(wal.durableLsn, 3n, 'a call has its own level, and a sync covers all before');
      await wal.append(bytes('d'), { sync: 'immediate_async' });
      await wal.appendMany([bytes('e')], { sync: 'immediate' });
      t.is(wal.durableLsn, 5n);
      void wal.append(bytes('f'));
      await wal.close();
      const { wal: again } = await openLog(t, options, directory);
      t.deepEqual(shown(await listedIn(again)), ['1: a', '2: b', '3: c', '4: d', '5: e', '6: f']);
      t.true(again.recovery.wasClosed);
      t.like(again.recovery, { copiedBytes: 0, cutBytes: 0, quarantined: [] });
    });
  }
}

test('E-2: a level of an hour leaves entries written, visible to who asks for that', async (t) => {
  const { wal } = await openLog(t, { sync: 'interval_3600000' });
  t.is(await wal.append(bytes('a')), 1n);
  t.deepEqual([wal.lastLsn, wal.durableLsn], [1n, 0n]);
  t.is(wal.metrics()['undurableEntries'], 1);
  const durable = await rejection(wal.read(1));
  t.like(durable, { code: 'TIDEMARK_NOT_FOUND', sequence: 0n });
  t.is(text(await wal.read(1, { visibility: 'written' })), 'a');
  t.deepEqual(shown(await wal.readRange({ from: 1, visibility: 'written' })), ['1: a']);
  t.deepEqual(await listedIn(wal), []);
  t.deepEqual(shown(await listedIn(wal, { visibility: 'written' })), ['1: a']);
  t.is(await wal.sync(), 1n);
  t.is(wal.durableLsn, 1n);
  t.is(text(await wal.read(1)), 'a');
});

test('an empty record is allowed, and readable, as D8 was not', async (t) => {
  const { wal, directory } = await openLog(t);
  await wal.append(new Uint8Array(0));
  await wal.appendMany([bytes('b'), new Uint8Array(0), bytes('d')]);
  t.is((await wal.read(1)).data.length, 0);
  const all = ['1: ', '2: b', '3: ', '4: d'];
  t.deepEqual(shown(await wal.readRange({ from: 1 })), all);
  await wal.close();
  const { wal: again } = await openLog(t, {}, directory);
  t.deepEqual(shown(await listedIn(again)), all);
});

test('appendMany is atomic with its expectation and its hard state (W-3, E-4)', async (t) => {
  const { wal, directory } = await openLog(t);
  const state = bytes('term 1');
  const given = { expect: 1n, hardState: state } as const;
  t.deepEqual(await wal.appendMany([bytes('a'), bytes('b')], given), { first: 1n, last: 2n });
  t.is(text(wal.hardState ?? bytes('')), 'term 1');
  const late = wal.appendMany([bytes('x')], { expect: 2, hardState: bytes('term 2') });
  t.like(await rejection(late), { code: 'TIDEMARK_CONFLICT', sequence: 3n });
  t.is(wal.lastLsn, 2n);
  t.is(text(wal.hardState ?? bytes('')), 'term 1', 'neither of the two');
  await wal.appendMany([bytes('c')], { expect: 3 });
  t.is(text(wal.hardState ?? bytes('')), 'term 1', 'kept unless given');
  await wal.close();
  const { wal: again } = await openLog(t, {}, directory);
  t.is(text(again.hardState ?? bytes('')), 'term 1');
  await again.appendMany([bytes('d')], { hardState: null });
  t.is(again.hardState, null);
});

test('the hard state: set, read as a copy, taken away, kept over a reopen', async (t) => {
  const { wal, directory } = await openLog(t);
  const given = new Uint8Array([1, 2, 3]);
  const set = wal.setHardState(given);
  given.fill(9);
  await set;
  t.deepEqual(wal.hardState, new Uint8Array([1, 2, 3]));
  wal.hardState?.fill(8);
  t.deepEqual(wal.hardState, new Uint8Array([1, 2, 3]));
  await wal.setHardState(new Uint8Array(0));
  t.is(wal.hardState?.length, 0, 'none is another one than an empty one');
  await wal.setHardState(new Uint8Array(2048).fill(7));
  await wal.close();
  const { wal: again } = await openLog(t, {}, directory);
  t.deepEqual(again.hardState, new Uint8Array(2048).fill(7));
  await again.setHardState(null);
  t.is(again.hardState, null);
  t.is(again.lastLsn, 0n);
});

test('truncate keeps its LSN, takes the rest back for good, and 0 takes all', async (t) => {
  const { wal, directory } = await openLog(t);
  await appendAll(wal, 'a', 'b', 'c', 'd');
  await wal.truncate({ after: 2 });
  t.deepEqual([wal.lastLsn, wal.durableLsn], [2n, 2n]);
  t.like(await rejection(wal.read(3)), { code: 'TIDEMARK_NOT_FOUND', sequence: 2n });
  t.is(await wal.append(bytes('C')), 3n, 'LSNs are used again');
  await wal.close();
  const { wal: again } = await openLog(t, {}, directory);
  t.deepEqual(shown(await listedIn(again)), ['1: a', '2: b', '3: C'], 'not D4, not D5');
  await again.truncate({ after: 3n });
  t.is(again.lastLsn, 3n, 'after the last one there is nothing to do');
  await again.truncate({ after: 0n });
  t.deepEqual([again.firstLsn, again.lastLsn], [1n, 0n]);
  t.is(await again.append(bytes('new')), 1n);
});

test('purge keeps its LSN, is exact, and what lies before is _EXPIRED', async (t) => {
  const { wal, directory } = await openLog(t);
  await appendAll(wal, 'a', 'b', 'c', 'd');
  await wal.purge({ before: 3 });
  t.deepEqual([wal.firstLsn, wal.lastLsn], [3n, 4n]);
  const expired = { code: 'TIDEMARK_EXPIRED', sequence: 3n };
  t.like(await rejection(wal.read(2)), expired);
  t.like(await rejection(wal.readRange({ from: 1, to: 4 })), expired);
  t.like(await rejection(listedIn(wal, { from: 1 })), expired);
  t.deepEqual(shown(await listedIn(wal)), ['3: c', '4: d'], 'without from: from the first one');
  t.like(await rejection(wal.truncate({ after: 1 })), { code: 'TIDEMARK_EXPIRED' });
  await wal.purge({ before: 2 });
  t.is(wal.firstLsn, 3n, 'a lower one changes nothing');
  await wal.close();
  const { wal: again } = await openLog(t, {}, directory);
  t.deepEqual(shown(await listedIn(again)), ['3: c', '4: d']);
  await again.truncate({ after: 2 });
  t.deepEqual([again.firstLsn, again.lastLsn], [3n, 2n], 'empty, and the next one is 3');
});

test('purge may go beyond the end, as after a snapshot from elsewhere (not D11)', async (t) => {
  const { wal, directory } = await openLog(t);
  await appendAll(wal, 'a', 'b');
  await wal.purge({ before: 100n });
  t.deepEqual([wal.firstLsn, wal.lastLsn, wal.durableLsn], [100n, 99n, 99n]);
  await wal.close();
  const { wal: again } = await openLog(t, {}, directory);
  t.deepEqual([again.firstLsn, again.lastLsn], [100n, 99n]);
  t.is(await again.append(bytes('x')), 100n);
  t.deepEqual(shown(await listedIn(again)), ['100: x']);
});

test('a purge frees the segments that it leaves empty, the first one too (D10)', async (t) => {
  const { wal, directory } = await openLog(t, SMALL);
  const last = await fillSegments(wal, directory, 6);
  const before = segmentsOf(directory);
  await wal.purge({ before: last });
  await wal.append(bytes('after'));
  await wal.close();
  const left = segmentsOf(directory);
  t.true(left.length < before.length, `${before.length} segments became ${left.length}`);
  t.false(left.includes(before[0] ?? ''));
  const { wal: again } = await openLog(t, SMALL, directory);
  t.deepEqual(
    (await listedIn(again)).map(({ lsn }) => lsn),
    [last, last + 1n],
  );
});

test('readRange includes both ends, is clipped, and gives at least one record', async (t) => {
  const { wal } = await openLog(t);
  await appendAll(wal, 'aa', 'bb', 'cc', 'dd');
  const range = async (from: number, to: number, maxBytes: number): Promise<string[]> =>
    shown(await wal.readRange({ from, to, maxBytes }));
  t.deepEqual(await range(2, 3, 100), ['2: bb', '3: cc']);
  t.deepEqual(await range(3, 3, 100), ['3: cc']);
  t.deepEqual(await range(3, 1000, 100), ['3: cc', '4: dd']);
  t.deepEqual(await range(1, 4, 4), ['1: aa', '2: bb']);
  t.deepEqual(await range(1, 4, 5), ['1: aa', '2: bb']);
  t.deepEqual(await range(1, 4, 1), ['1: aa']);
  t.deepEqual(shown(await wal.readRange({ from: 4n })), ['4: dd']);
  const beyond = await rejection(wal.readRange({ from: 5 }));
  t.like(beyond, { code: 'TIDEMARK_NOT_FOUND', sequence: 4n });
});

for (const io of ['pwrite', 'mmap'] as const) {
  test(`${io}: a cold range that lies in many segments is read whole`, async (t) => {
    const options = { ...SMALL, io };
    const { wal, directory } = await openLog(t, options);
    const last = await fillSegments(wal, directory, 5);
    await wal.close();
    const { wal: again } = await openLog(t, options, directory);
    const all = await again.readRange({ from: 1, to: last });
    t.is(all.length, Number(last));
    for (const { lsn, data } of all) t.true(text(data).startsWith(`${lsn} `), String(lsn));
    const half = await again.readRange({ from: 1, maxBytes: 20 * 1024 + 500 });
    t.is(half.length, 20, 'across a border, up to the bytes that were asked for');
    t.deepEqual(await listedIn(again), all);
    t.true((again.metrics()['coldReads'] as bigint) > 0n);
    t.is(text(await again.read(last)).split(' ')[0], String(last));
  });
}

test("the bytes of an entry are the caller's: changing them changes nothing else", async (t) => {
  const { wal } = await openLog(t);
  await appendAll(wal, 'aa', 'bb', 'cc');
  const [, second] = await wal.readRange({ from: 1 });
  second?.data.fill(0x78);
  t.deepEqual(shown(await wal.readRange({ from: 1 })), ['1: aa', '2: bb', '3: cc']);
  t.is((await wal.read(2)).data.buffer.byteLength, 2, 'one that is read alone has its buffer');
});

test('chunks of records of any size come apart as they were put together', async (t) => {
  const { wal } = await openLog(t);
  const sizes = [0, 1, 16_383, 16_384, 16_385, 5, 0, 40_000, 7, 16_000, 400, 0, 1000, 0];
  await wal.appendMany(sizes.map((size, index) => new Uint8Array(size).fill(index)));
  for (const maxBytes of [1, 16_384, 50_000, 1_000_000]) {
    const all = await listedIn(wal, { maxBytes });
    t.deepEqual(
      all.map(({ data }) => data.length),
      sizes,
      String(maxBytes),
    );
    t.true(all.every(({ data }, index) => data.every((byte) => byte === index)));
  }
});

test('what is changed, detached or resized after the call is not what is written', async (t) => {
  const { wal } = await openLog(t);
  const changed = new Uint8Array(1000).fill(1);
  const first = wal.append(changed);
  changed.fill(2);
  const detached = new Uint8Array(1000).fill(3);
  const second = wal.appendMany([detached, detached]);
  structuredClone(detached, { transfer: [detached.buffer] });
  const shared = new Uint8Array(new SharedArrayBuffer(1000)).fill(4);
  const third = wal.appendMany([shared]);
  const fourth = wal.append(shared);
  shared.fill(5);
  // Resizable buffers came after the library of ES2023.
  const Resizable = ArrayBuffer as unknown as new (
    size: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & { resize(size: number): void };
  const resizable = new Resizable(1000, { maxByteLength: 2000 });
  const fifth = wal.append(new Uint8Array(resizable).fill(6));
  resizable.resize(10);
  await Promise.all([first, second, third, fourth, fifth]);
  const found = (await listedIn(wal)).map(({ data }) => `${data.length} of ${data[0] ?? ''}`);
  const expected = [1, 3, 3, 4, 4, 6].map((value) => `1000 of ${value}`);
  t.deepEqual(found, expected);
  await wal.append(detached);
  await wal.appendMany([detached, bytes('x')]);
  t.deepEqual(
    (await listedIn(wal, { from: 7 })).map(({ data }) => data.length),
    [0, 0, 1],
  );
});

test('views, Buffers and subclasses are taken for what they are, whatever they say', async (t) => {
  class Liar extends Uint8Array {
    override get length(): number {
      return 1;
    }
    override get byteLength(): number {
      return 100;
    }
  }
  const { wal } = await openLog(t);
  const all = Uint8Array.from({ length: 10 }, (_, index) => index);
  const liar = new Liar([7, 8, 9]);
  await wal.appendMany([all.subarray(3, 5), Buffer.from(all.buffer, 8, 2), liar]);
  await wal.append(liar);
  const found = (await listedIn(wal)).map(({ data }) => [...data]);
  t.deepEqual(found, [
    [3, 4],
    [8, 9],
    [7, 8, 9],
    [7, 8, 9],
  ]);
});

test('any iterable of records will do', async (t) => {
  const { wal } = await openLog(t);
  const generated = (function* (): Generator<Uint8Array> {
    for (const name of ['a', 'b']) yield bytes(name);
  })();
  await wal.appendMany(generated);
  await wal.appendMany(new Set([bytes('c')]));
  t.deepEqual(shown(await listedIn(wal)), ['1: a', '2: b', '3: c']);
});

test('10,000 appends at once have the order of their calls, and their bytes', async (t) => {
  const { wal } = await openLog(t);
  const lsns = await Promise.all(
    Array.from({ length: 10_000 }, (_, index) => wal.append(bytes(`record ${index}`))),
  );
  t.true(lsns.every((lsn, index) => lsn === BigInt(index + 1)));
  const all = await listedIn(wal);
  t.is(all.length, 10_000);
  t.true(all.every((entry, index) => text(entry) === `record ${index}`));
  t.true((wal.metrics()['groups'] as bigint) < 100n, 'they share commits');
});

test('two handles in one process share one log, with equal options only', async (t) => {
  const { wal, directory } = await openLog(t);
  const { wal: second } = await openLog(t, {}, path.join(directory, '..', 'log'));
  await wal.append(bytes('a'));
  t.is(await second.append(bytes('b')), 2n);
  t.deepEqual(shown(await listedIn(wal)), ['1: a', '2: b']);
  const other = await rejection(Wal.open(directory, { sync: 'immediate_async' }));
  t.like(other, { code: 'TIDEMARK_CONFLICT' });
  void second.append(bytes('c'));
  second.closeSync();
  t.is(wal.lastLsn, 3n, 'a blocking close finishes what was accepted, beside another handle');
  t.is(await wal.append(bytes('d')), 4n);
});

test('metrics are frozen: counters are bigints, gauges numbers', async (t) => {
  const { wal } = await openLog(t);
  await appendAll(wal, 'a', 'b');
  const metrics = wal.metrics();
  t.true(Object.isFrozen(metrics));
  t.like(metrics, { entries: 2n, operations: 1n, segments: 1, inFlightBytes: 0 });
  t.is((metrics['syncUs'] as { count: number }).count, 1);
  t.true(['proven', 'unproven', 'none'].includes(wal.durability));
});

test('a directory that exists is used, one whose parent is missing is not made', async (t) => {
  const directory = tempDir(t);
  const empty = path.join(directory, 'empty');
  mkdirSync(empty);
  const { wal } = await openLog(t, {}, empty);
  t.is(await wal.append(bytes('a')), 1n);
  const missing = await rejection(Wal.open(path.join(directory, 'no/log')));
  t.like(missing, { code: 'TIDEMARK_IO', errno: 2 });
});

test('an aborted open rejects with the reason, and the log can be opened', async (t) => {
  const directory = newLog(t);
  const reason = new Error('mine');
  t.is(await rejection(Wal.open(directory, { signal: AbortSignal.abort(reason) })), reason);
  const controller = new AbortController();
  const opening = Wal.open(directory, { signal: controller.signal });
  controller.abort(reason);
  t.is(await rejection(opening), reason);
  const { wal } = await openLog(t, {}, directory);
  t.is(await wal.append(bytes('a')), 1n);
});
