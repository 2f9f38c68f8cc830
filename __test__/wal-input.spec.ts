// Bad input to the log: a typed error before anything is touched (promise 6), at and around every
// limit.
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import test from 'ava';
import { Wal, type WalOptions } from '../index.ts';
import { picture } from './support/picture.ts';
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
  shown,
} from './support/wals.ts';

const INVALID = { code: 'TIDEMARK_INVALID_ARGUMENT' };
const TOO_LARGE = { code: 'TIDEMARK_TOO_LARGE' };
const CLOSED = { code: 'TIDEMARK_CLOSED', name: 'TidemarkError' };
const any = (value: unknown): never => value as never;

test('options that no log can have are refused, and nothing is made', async (t) => {
  const directory = newLog(t);
  const given: unknown[] = [null, 5, 'immediate', [], AbortSignal.abort(), { Sync: 'immediate' }];
  const syncs = ['interval_0', 'interval_', 'interval_-1', 'interval_01', 'interval_1.5'];
  syncs.push('interval_86400001', 'interval_99999999999999999999', 'Immediate', '', 'interval');
  given.push(...[...syncs, null, 5, ['immediate']].map((sync) => ({ sync })));
  given.push({ io: 'direct' }, { io: null }, { recovery: 'none' }, { readOnly: 1 });
  given.push({ segmentBytes: 0 }, { segmentBytes: 28 * 1024 }, { segmentBytes: 32 * 1024 + 1 });
  given.push({ segmentBytes: 2 ** 32 }, { segmentBytes: -4096 }, { segmentBytes: '65536' });
  given.push({ maxRecordBytes: 0 }, { maxRecordBytes: 1.5 }, { maxRecordBytes: 16 * 1024 * 1024 });
  given.push({ maxInFlightBytes: 0 }, { maxInFlightBytes: 2 ** 32 }, { exitDrainMs: -1 });
  given.push({ allowNetworkFs: 'yes' }, { signal: {} });
  for (const options of given) {
    t.like(await rejection(Wal.open(directory, any(options))), INVALID, JSON.stringify(options));
  }
  t.deepEqual(readdirSync(path.dirname(directory)), []);
});

test('options at their limits are taken', async (t) => {
  const given: WalOptions[] = [
    { segmentBytes: 32 * 1024, maxRecordBytes: 1 },
    { segmentBytes: 36 * 1024, maxInFlightBytes: 1 },
    { sync: 'interval_1', exitDrainMs: 0 },
    { sync: 'interval_86400000', maxInFlightBytes: 2 ** 32 - 1, recovery: 'strict' },
  ];
  for (const options of given) {
    const { wal } = await openLog(t, options);
    t.is(await wal.append(bytes('a')), 1n);
    t.deepEqual(shown(await listedIn(wal, { visibility: 'written' })), ['1: a']);
    await wal.close();
  }
});

test('paths that are no directory of a log are refused', async (t) => {
  const directory = tempDir(t);
  const at = (name: string): string => path.join(directory, name);
  writeFileSync(at('file'), 'content');
  symlinkSync('nowhere', at('dangling'));
  symlinkSync('loop', at('loop'));
  const before = picture(directory);
  for (const given of ['', '\0', 'a\0b', '\ud800', undefined, null, 5, bytes('a'), at('file')]) {
    t.like(await rejection(Wal.open(any(given))), INVALID, String(given));
  }
  const failures: [string, number][] = [
    ['missing/log', 2],
    ['file/log', 20],
    ['loop', 40],
  ];
  for (const [name, errno] of failures) {
    t.like(await rejection(Wal.open(at(name))), { code: 'TIDEMARK_IO', errno }, name);
  }
  const dangling = await rejection(Wal.open(at('dangling')));
  t.is((dangling as { code: string }).code, 'TIDEMARK_IO');
  t.deepEqual(picture(directory), before);
});

test('a record at, one below and one above the limit of the option', async (t) => {
  const { wal } = await openLog(t, { maxRecordBytes: 1000 });
  t.is(await wal.append(new Uint8Array(999)), 1n);
  t.is(await wal.append(new Uint8Array(1000)), 2n);
  t.is(wal.appendSync(new Uint8Array(1000)), 3n);
  const above = new Uint8Array(1001);
  t.like(await rejection(wal.append(above)), TOO_LARGE);
  t.like(await rejection(wal.tryAppend(above) ?? Promise.resolve()), TOO_LARGE);
  t.like(await rejection(wal.appendMany([bytes('a'), above])), TOO_LARGE);
  t.throws(() => wal.appendSync(above), TOO_LARGE);
  t.is(wal.lastLsn, 3n);
  t.is(await wal.append(bytes('a')), 4n, 'and the log goes on, as D7 did not');
});

test('the largest record of a segment is taken, and one byte more is not (not D7)', async (t) => {
  const { wal, directory } = await openLog(t, SMALL);
  let [fits, tooLarge] = [1000, 32 * 1024];
  while (tooLarge - fits > 1) {
    const size = Math.floor((fits + tooLarge) / 2);
    const outcome = await wal.append(new Uint8Array(size).fill(5)).then(
      () => 'taken',
      (error: unknown) => (error as { code: string }).code,
    );
    t.true(['taken', TOO_LARGE.code].includes(outcome), outcome);
    if (outcome === 'taken') fits = size;
    else tooLarge = size;
  }
  t.true(fits >= 10_000, String(fits));
  const last = wal.lastLsn;
  for (let again = 0; again < 5; again += 1) await wal.append(new Uint8Array(fits).fill(6));
  await wal.append(bytes('small'));
  await wal.close();
  const { wal: again } = await openLog(t, SMALL, directory);
  const found = await listedIn(again, { from: last + 1n });
  t.deepEqual(
    found.map(({ data }) => data.length),
    [fits, fits, fits, fits, fits, 5],
  );
});

test('a batch that no segment has room for is refused whole', async (t) => {
  const { wal } = await openLog(t, SMALL);
  const list = Array.from({ length: 40 }, () => new Uint8Array(1000));
  t.like(await rejection(wal.appendMany(list)), TOO_LARGE);
  t.is(wal.lastLsn, 0n);
  t.deepEqual(await wal.appendMany(list.slice(0, 5)), { first: 1n, last: 5n });
  const many = Array.from({ length: 10_000 }, () => new Uint8Array(0));
  t.like(await rejection(wal.appendMany(many)), TOO_LARGE, 'empty ones take room, too');
});

test('what no segment has room for is refused before anybody copies it', async (t) => {
  const { wal } = await openLog(t, SMALL);
  const huge = new Uint8Array(2 ** 30);
  const before = process.resourceUsage().maxRSS;
  const calls: Record<string, () => unknown> = {
    append: () => wal.append(huge),
    tryAppend: () => wal.tryAppend(huge),
    appendMany: () => wal.appendMany([bytes('a'), huge]),
    setHardState: () => wal.setHardState(huge),
    'appendMany with a hard state': () => wal.appendMany([bytes('a')], { hardState: huge }),
  };
  for (const [name, call] of Object.entries(calls)) {
    t.like(await rejection(call() as Promise<unknown>), TOO_LARGE, name);
  }
  t.throws(() => wal.appendSync(huge), TOO_LARGE);
  const grownKib = process.resourceUsage().maxRSS - before;
  t.true(grownKib < 2 ** 19, `${grownKib} KiB`);
  t.deepEqual([wal.lastLsn, wal.hardState], [0n, null]);
});

test('what is no record, and what is no list of records', async (t) => {
  const { wal } = await openLog(t);
  const records: unknown[] = [undefined, null, 'text', 5, [], {}, new ArrayBuffer(3)];
  records.push(new Uint16Array(2), new DataView(new ArrayBuffer(2)), [1, 2, 3]);
  records.push(new Proxy(new Uint8Array(2), {}), Object.create(Uint8Array.prototype));
  for (const given of records) {
    const record = any(given);
    t.like(await rejection(wal.append(record)), INVALID);
    t.like(await rejection(wal.tryAppend(record) ?? Promise.resolve()), INVALID);
    t.throws(() => wal.appendSync(record), { ...INVALID, instanceOf: TypeError });
    t.like(await rejection(wal.appendMany([bytes('a'), record])), INVALID);
    if (given !== null) t.like(await rejection(wal.setHardState(record)), INVALID);
    const state = given === undefined || given === null ? 5 : given;
    t.like(await rejection(wal.appendMany([bytes('a')], { hardState: any(state) })), INVALID);
  }
  const lists: unknown[] = [undefined, null, 5, 'text', {}, [], new Set(), bytes('abc')];
  lists.push(new Array(3), [[bytes('a')]]);
  for (const given of lists) t.like(await rejection(wal.appendMany(any(given))), INVALID);
  const failing = (function* (): Generator<Uint8Array> {
    yield bytes('a');
    throw new Error('mine');
  })();
  t.like(await rejection(wal.appendMany(failing)), { message: 'mine' });
  t.is(wal.lastLsn, 0n);
});

test('options of calls are checked, before anything is appended', async (t) => {
  const { wal } = await openLog(t);
  const given: unknown[] = [null, 5, [], { Sync: 'immediate' }, { sync: 'interval_5' }];
  given.push({ sync: null }, { signal: {} }, { signal: null }, AbortSignal.abort());
  given.push(new AbortController());
  for (const options of given) {
    t.like(await rejection(wal.append(bytes('a'), any(options))), INVALID);
    t.like(await rejection(wal.appendMany([bytes('a')], any(options))), INVALID);
  }
  t.like(await rejection(wal.append(bytes('a'), any({ expect: 1n }))), INVALID);
  const signal = new AbortController().signal;
  const tried = wal.tryAppend(bytes('a'), any({ signal }));
  t.like(await rejection(tried ?? Promise.resolve()), INVALID);
  for (const expect of [0, 0n, -1, 1.5, '1', null, 2n ** 64n, NaN]) {
    const options = { expect: any(expect) };
    t.like(await rejection(wal.appendMany([bytes('a')], options)), INVALID, String(expect));
  }
  t.is(wal.lastLsn, 0n);
});

test('options that change while they are read are taken as they were first', async (t) => {
  const { wal } = await openLog(t);
  let reads = 0;
  const options = {
    get hardState(): Uint8Array | undefined {
      return (reads += 1) === 1 ? bytes('state') : undefined;
    },
  };
  await wal.appendMany([bytes('a')], any(options));
  t.deepEqual(wal.hardState, new Uint8Array(bytes('state')));
});

test('a hard state of 2,048 bytes is taken, and one more is not', async (t) => {
  const { wal } = await openLog(t);
  await wal.setHardState(new Uint8Array(2048));
  const above = new Uint8Array(2049);
  t.like(await rejection(wal.setHardState(above)), TOO_LARGE);
  t.like(await rejection(wal.appendMany([bytes('a')], { hardState: above })), TOO_LARGE);
  t.deepEqual([wal.hardState?.length, wal.lastLsn], [2048, 0n]);
});

const NO_LSNS: unknown[] = [undefined, null, '1', 1.5, NaN, Infinity, -1, -1n, 2n ** 64n];
NO_LSNS.push(2 ** 53, true, {}, Symbol('1'));

test('LSNs: 0 and negative ones, numbers that are not exact, and other things', async (t) => {
  const { wal } = await openLog(t);
  await appendAll(wal, 'a', 'b');
  for (const given of [...NO_LSNS, 0, 0n]) {
    const lsn = any(given);
    t.like(await rejection(wal.read(lsn)), INVALID, String(given));
    t.like(await rejection(wal.readRange({ from: lsn, to: 2 })), INVALID);
    if (given !== undefined) t.like(await rejection(wal.readRange({ from: 1, to: lsn })), INVALID);
    t.like(await rejection(wal.purge({ before: lsn })), INVALID);
  }
  for (const lsn of NO_LSNS) {
    t.like(await rejection(wal.truncate({ after: any(lsn) })), INVALID, String(lsn));
  }
  t.deepEqual(shown(await listedIn(wal)), ['1: a', '2: b']);
});

test('LSNs past the end are _NOT_FOUND, with the last one', async (t) => {
  const { wal } = await openLog(t);
  await appendAll(wal, 'a', 'b');
  const notFound = { code: 'TIDEMARK_NOT_FOUND', sequence: 2n };
  for (const lsn of [3, 1000n, 2n ** 64n - 1n]) {
    t.like(await rejection(wal.read(lsn)), notFound);
    t.like(await rejection(wal.readRange({ from: lsn })), notFound);
    t.like(await rejection(wal.truncate({ after: lsn })), notFound);
  }
  t.deepEqual(shown(await wal.readRange({ from: 1, to: 2n ** 64n - 1n })), ['1: a', '2: b']);
});

test('ranges that end before they begin, and places without their number', async (t) => {
  const { wal } = await openLog(t);
  await appendAll(wal, 'a', 'b');
  t.like(await rejection(wal.readRange({ from: 2, to: 1 })), INVALID);
  for (const given of [undefined, null, 5, {}, { form: 1 }, { from: 1, until: 2 }]) {
    t.like(await rejection(wal.readRange(any(given))), INVALID);
  }
  for (const maxBytes of [0, -1, 1.5, 2 ** 32, '5', null]) {
    t.like(await rejection(wal.readRange({ from: 1, maxBytes: any(maxBytes) })), INVALID);
  }
  for (const given of [undefined, null, 5, 2n, {}, { from: 1 }, { after: 1, before: 1 }]) {
    t.like(await rejection(wal.truncate(any(given))), INVALID);
    t.like(await rejection(wal.purge(any(given))), INVALID);
  }
  for (const visibility of ['all', null, 5]) {
    t.like(await rejection(wal.read(1, { visibility: any(visibility) })), INVALID);
    t.like(await rejection(wal.readRange({ from: 1, visibility: any(visibility) })), INVALID);
  }
  t.like(await rejection(wal.read(1, any({ fresh: true }))), INVALID);
  t.deepEqual(shown(await listedIn(wal)), ['1: a', '2: b']);
});

test('LSNs end below 2^64 - 1: nothing gets that one, and a log there opens again', async (t) => {
  const { wal, directory } = await openLog(t);
  const none = 2n ** 64n - 1n;
  t.like(await rejection(wal.purge({ before: none })), INVALID);
  await wal.purge({ before: none - 2n });
  t.is(await wal.append(bytes('a')), none - 2n);
  t.like(await rejection(wal.appendMany([bytes('b'), bytes('c')])), TOO_LARGE);
  t.is(await wal.append(bytes('b')), none - 1n);
  t.like(await rejection(wal.append(bytes('c'))), TOO_LARGE);
  await wal.close();
  const { wal: again } = await openLog(t, {}, directory);
  t.deepEqual(shown(await listedIn(again)), [`${none - 2n}: a`, `${none - 1n}: b`]);
  t.like(await rejection(again.append(bytes('c'))), TOO_LARGE);
});

const CALLS: Record<string, (wal: Wal) => unknown> = {
  append: (wal) => wal.append(bytes('a')),
  'append with options': (wal) => wal.append(bytes('a'), { sync: 'immediate' }),
  tryAppend: (wal) => wal.tryAppend(bytes('a')),
  appendMany: (wal) => wal.appendMany([bytes('a')]),
  read: (wal) => wal.read(1),
  readRange: (wal) => wal.readRange({ from: 1 }),
  iterate: (wal) => wal.iterate().next(),
  truncate: (wal) => wal.truncate({ after: 0 }),
  purge: (wal) => wal.purge({ before: 1 }),
  setHardState: (wal) => wal.setHardState(null),
  sync: (wal) => wal.sync(),
};

const SYNC_CALLS: Record<string, (wal: Wal) => unknown> = {
  appendSync: (wal) => wal.appendSync(bytes('a')),
  firstLsn: (wal) => wal.firstLsn,
  lastLsn: (wal) => wal.lastLsn,
  durableLsn: (wal) => wal.durableLsn,
  hardState: (wal) => wal.hardState,
  metrics: (wal) => wal.metrics(),
};

const ENDS: Record<string, (wal: Wal) => unknown> = {
  close: (wal) => wal.close(),
  closeSync: (wal) => {
    wal.closeSync();
  },
  dispose: (wal) => wal[Symbol.asyncDispose](),
};

for (const [name, end] of Object.entries(ENDS)) {
  test(`after ${name}, everything that needs the log says so, at once and later`, async (t) => {
    const { wal, directory } = await openLog(t);
    const append = wal.append(bytes('a'));
    const { durability, recovery } = wal;
    const ending = end(wal);
    for (const moment of ['at once', 'later']) {
      for (const [call, run] of Object.entries(CALLS)) {
        t.like(await rejection(run(wal) as Promise<unknown>), CLOSED, `${call}, ${moment}`);
      }
      for (const [call, run] of Object.entries(SYNC_CALLS)) {
        t.throws(() => run(wal), CLOSED, `${call}, ${moment}`);
      }
      t.like(await rejection(wal.append(any('a'))), INVALID, 'a bad argument is told of first');
      await ending;
    }
    t.is(await append, 1n, 'what was accepted is finished');
    t.is(wal.durability, durability);
    t.deepEqual(wal.recovery, recovery);
    const before = picture(directory);
    for (const again of Object.values(ENDS)) await again(wal);
    t.deepEqual(picture(directory), before);
  });
}

test('nobody but open makes a Wal', (t) => {
  t.throws(() => new (Wal as unknown as new () => unknown)(), INVALID);
  t.throws(() => new (Wal as unknown as new (token: symbol) => unknown)(Symbol('ours')), INVALID);
});

test('foreign files in the directory are left alone', async (t) => {
  const directory = newLog(t);
  mkdirSync(directory);
  const foreign = ['README', '00000001.wal', '1.segment', '000000001.segment', '0000000G.segment'];
  // Nearly what is the log's own, and a lock file as other programs leave it.
  foreign.push('0000000A.segment', 'x.spare', '.tidemark-1.tmp', 'lock.hql', 'state.json');
  for (const name of foreign) writeFileSync(path.join(directory, name), name);
  mkdirSync(path.join(directory, 'folder'));
  symlinkSync('nowhere', path.join(directory, 'link'));
  foreign.push('folder', 'link');
  const ofForeign = (): string[] =>
    picture(directory).filter((line) => foreign.includes(line.split(' ')[0] ?? ''));
  const before = ofForeign();
  t.is(before.length, foreign.length);
  const { wal } = await openLog(t, SMALL, directory);
  const last = await fillSegments(wal, directory, 4);
  await wal.purge({ before: last });
  await wal.close();
  const { wal: again } = await openLog(t, SMALL, directory);
  t.deepEqual(
    (await listedIn(again)).map(({ lsn }) => lsn),
    [last],
  );
  t.deepEqual(ofForeign(), before);
});
