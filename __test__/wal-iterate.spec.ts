// Loops over a log: F-1 to F-4 of crates/core/src/wal/follower.rs. Closing ends iterators with
// _CLOSED, and a follower beyond the cut of a truncate rejects with _CONFLICT.
import { Buffer } from 'node:buffer';
import test, { type ExecutionContext } from 'ava';
import { type Entry, Wal, type WalIterateOptions, type WalLoop } from '../index.ts';
import { isSettled, rejection, turns } from './support/wait.ts';
import {
  SMALL,
  appendAll,
  bytes,
  fillSegments,
  listedIn,
  newLog,
  openLog,
  shown,
  text,
} from './support/wals.ts';

const DONE = { done: true, value: undefined };
const CLOSED = { code: 'TIDEMARK_CLOSED', name: 'TidemarkError' };

/** The entries of one step, which must be one. */
async function step(loop: AsyncIterator<Entry[], undefined>): Promise<string[]> {
  const { done, value } = await loop.next();
  if (done === true) throw new Error('the loop is over');
  return shown(value);
}

/** A loop that has read `a` and `b` and waits for more. */
async function waiting(
  t: ExecutionContext,
  options: WalIterateOptions = {},
): Promise<{ wal: Wal; loop: AsyncIterableIterator<Entry[], undefined>; next: Promise<unknown> }> {
  const { wal } = await openLog(t);
  await appendAll(wal, 'a', 'b');
  const loop = wal.iterate({ from: 1, follow: true, ...options });
  t.deepEqual(await step(loop), ['1: a', '2: b']);
  const next = loop.next();
  await turns(5);
  t.false(await isSettled(next));
  return { wal, loop, next };
}

test('a loop without follow ends at the end of the log, also of an empty one', async (t) => {
  const { wal } = await openLog(t);
  const empty = wal.iterate();
  t.deepEqual(await empty.next(), DONE);
  await appendAll(wal, 'a', 'b');
  t.deepEqual(await empty.next(), DONE, 'for good');
  const loop = wal.iterate();
  t.deepEqual(await step(loop), ['1: a', '2: b']);
  t.deepEqual(await loop.next(), DONE);
  t.deepEqual(await listedIn(wal, { from: 3 }), [], 'from the next LSN there is nothing yet');
  t.deepEqual(await listedIn(wal, { from: 1000n }), []);
});

test('F-1: arrays have bounded sizes, and follow each other without a hole', async (t) => {
  const { wal, directory } = await openLog(t, SMALL);
  const last = await fillSegments(wal, directory, 4);
  let [next, arrays] = [1n, 0];
  for await (const entries of wal.iterate({ maxBytes: 5000 })) {
    t.true(entries.length >= 1 && entries.length <= 4, 'of 1,024 bytes each');
    for (const { lsn, data } of entries) {
      t.is(lsn, next);
      t.true(text(data).startsWith(`${next} `));
      next += 1n;
    }
    arrays += 1;
  }
  t.is(next, last + 1n);
  t.true(arrays >= Number(last) / 4);
});

test('a record larger than maxBytes comes alone', async (t) => {
  const { wal } = await openLog(t);
  await wal.appendMany([bytes('a'), Buffer.alloc(10_000), bytes('c')]);
  const sizes: number[][] = [];
  for await (const entries of wal.iterate({ maxBytes: 100 })) {
    sizes.push(entries.map(({ data }) => data.length));
  }
  t.deepEqual(sizes, [[1], [10_000], [1]]);
});

test('a follower is given what comes, once each, while it waits and while it works', async (t) => {
  const { wal, loop, next } = await waiting(t);
  await wal.append(bytes('c'));
  t.deepEqual(shown(((await next) as { value: Entry[] }).value), ['3: c']);
  await appendAll(wal, 'd', 'e');
  t.deepEqual(await step(loop), ['4: d', '5: e']);
  const found: bigint[] = [];
  const read = (async () => {
    for await (const entries of loop) {
      found.push(...entries.map(({ lsn }) => lsn));
      if ((found.at(-1) ?? 0n) >= 505n) break;
    }
  })();
  for (let index = 0; index < 500; index += 1) {
    void wal.append(bytes('x'));
    if (index % 10 === 0) await turns(1);
  }
  await read;
  t.deepEqual(
    found,
    Array.from({ length: 500 }, (_, index) => BigInt(index + 6)),
  );
});

test('a follower may begin beyond the end, and waits for that LSN', async (t) => {
  const { wal } = await openLog(t);
  const loop = wal.iterate({ from: 3, follow: true });
  const next = step(loop);
  await appendAll(wal, 'a', 'b');
  await turns(5);
  t.false(await isSettled(next));
  await wal.append(bytes('c'));
  t.deepEqual(await next, ['3: c']);
  await loop.return();
});

test('a durable follower waits for the sync, one that asks for written does not', async (t) => {
  const { wal } = await openLog(t, { sync: 'interval_3600000' });
  const durable = step(wal.iterate({ follow: true }));
  const written = step(wal.iterate({ follow: true, visibility: 'written' }));
  await wal.append(bytes('a'));
  t.deepEqual(await written, ['1: a']);
  t.false(await isSettled(durable));
  await wal.sync();
  t.deepEqual(await durable, ['1: a']);
});

test('leaving the loop ends it', async (t) => {
  const { wal } = await openLog(t);
  await appendAll(wal, 'a', 'b', 'c');
  const loop = wal.iterate({ maxBytes: 1, follow: true });
  for await (const entries of loop) {
    t.deepEqual(shown(entries), ['1: a']);
    if (entries.length > 0) break;
  }
  t.deepEqual(await loop.next(), DONE);
});

test('return() ends a loop that waits, and the call that waits with it', async (t) => {
  const { wal, loop, next } = await waiting(t);
  t.deepEqual(await loop.return?.(), DONE);
  t.deepEqual(await next, DONE);
  await wal.append(bytes('c'));
  t.deepEqual(await loop.next(), DONE);
});

test('await using ends a loop and closes a log, also where their block throws', async (t) => {
  const directory = newLog(t);
  const mine = new Error('mine');
  const loops: WalLoop[] = [];
  const waiting: Promise<unknown>[] = [];
  const work = async (): Promise<void> => {
    await using wal = await Wal.open(directory);
    await using loop = wal.iterate({ from: 2, follow: true });
    loops.push(loop);
    waiting.push(loop.next());
    void wal.append(bytes('accepted'));
    throw mine;
  };
  t.is(await rejection(work()), mine);
  t.deepEqual(await Promise.all(waiting), [DONE], 'ended by the loop, not by the log');
  t.deepEqual(await Promise.all(loops.map((loop) => loop.next())), [DONE]);
  const { wal: again } = await openLog(t, {}, directory);
  t.true(again.recovery.wasClosed);
  t.deepEqual(shown(await listedIn(again)), ['1: accepted']);
});

test('an error in its body ends a loop, and so does one thrown into a generator', async (t) => {
  const { wal } = await openLog(t);
  await appendAll(wal, 'a', 'b', 'c');
  const mine = new Error('mine');
  const loop = wal.iterate({ maxBytes: 1, follow: true });
  const read = async (): Promise<void> => {
    for await (const entries of loop) if (entries.length > 0) throw mine;
  };
  t.is(await rejection(read()), mine);
  t.deepEqual(await loop.next(), DONE);
  const inner = wal.iterate({ maxBytes: 1, follow: true });
  const outer = (async function* (): AsyncGenerator<Entry[], void> {
    yield* inner;
  })();
  t.deepEqual(await step(outer as AsyncIterator<Entry[], undefined>), ['1: a']);
  await t.throwsAsync(outer.throw(mine));
  t.deepEqual(await inner.next(), DONE);
});

test('calls of next() that overlap are answered in their order', async (t) => {
  const { wal, loop, next } = await waiting(t);
  const later = [loop.next(), loop.next()] as Promise<{ value: Entry[] }>[];
  await wal.append(bytes('c'));
  t.deepEqual(shown(((await next) as { value: Entry[] }).value), ['3: c']);
  await wal.append(bytes('d'));
  t.deepEqual(shown((await later[0])?.value ?? []), ['4: d']);
  await loop.return?.();
  t.deepEqual(await later[1], DONE as never);
});

test('an abort ends a loop with its reason: before, between and while it waits', async (t) => {
  const reason = new Error('mine');
  const { wal } = await openLog(t);
  await appendAll(wal, 'a', 'b');
  const before = wal.iterate({ signal: AbortSignal.abort(reason) });
  t.is(await rejection(before.next()), reason);
  t.deepEqual(await before.next(), DONE);

  const between = new AbortController();
  const loop = wal.iterate({ maxBytes: 1, signal: between.signal });
  t.deepEqual(await step(loop), ['1: a']);
  between.abort(reason);
  t.is(await rejection(loop.next()), reason);
  t.deepEqual(await loop.next(), DONE);

  const controller = new AbortController();
  const { wal: other, next } = await waiting(t, { signal: controller.signal });
  controller.abort(reason);
  t.is(await rejection(next), reason);
  await other.append(bytes('c'));
});

for (const how of ['close', 'closeSync'] as const) {
  test(`${how} ends loops that wait, and loops that are between two steps`, async (t) => {
    const { wal, loop, next } = await waiting(t);
    const between = wal.iterate({ maxBytes: 1 });
    t.deepEqual(await step(between), ['1: a']);
    const fresh = wal.iterate();
    const rejected = rejection(next);
    await wal[how]();
    t.like(await rejected, CLOSED);
    t.deepEqual(await loop.next(), DONE, 'once');
    t.like(await rejection(between.next()), CLOSED);
    t.like(await rejection(fresh.next()), CLOSED);
  });
}

test('a loop ends with its own handle, not with another one', async (t) => {
  const { wal, directory } = await openLog(t);
  const { wal: other } = await openLog(t, {}, directory);
  const [own, others] = [wal.iterate({ follow: true }), other.iterate({ follow: true })];
  const [first, second] = [rejection(own.next()), step(others)];
  await wal.close();
  t.like(await first, CLOSED);
  await other.append(bytes('a'));
  t.deepEqual(await second, ['1: a']);
  await others.return();
});

test('F-2: a follower that has read what is truncated rejects with _CONFLICT', async (t) => {
  const { wal, loop, next } = await waiting(t);
  const rejected = rejection(next);
  await wal.truncate({ after: 1 });
  t.like(await rejected, { code: 'TIDEMARK_CONFLICT' });
  t.deepEqual(await loop.next(), DONE);
  await wal.append(bytes('B'));
  t.deepEqual(shown(await listedIn(wal)), ['1: a', '2: B'], 'a new loop reads what stands');
});

test('F-2: LSNs that are used again before it looks are no less a conflict', async (t) => {
  const { wal } = await openLog(t);
  await appendAll(wal, 'a', 'b', 'c');
  const loop = wal.iterate({ from: 1, maxBytes: 2 });
  t.deepEqual(await step(loop), ['1: a', '2: b']);
  void wal.truncate({ after: 1 });
  await appendAll(wal, 'B', 'C');
  t.like(await rejection(loop.next()), { code: 'TIDEMARK_CONFLICT' });
});

test('a truncate at or above what a follower has read does not disturb it', async (t) => {
  const { wal } = await openLog(t);
  await appendAll(wal, 'a', 'b', 'c');
  const loop = wal.iterate({ from: 1, maxBytes: 1 });
  t.deepEqual(await step(loop), ['1: a']);
  await wal.truncate({ after: 1 });
  await wal.append(bytes('B'));
  t.deepEqual(await step(loop), ['2: B']);
});

test('F-2: a loop that falls behind a purge rejects with _EXPIRED', async (t) => {
  const { wal } = await openLog(t);
  await appendAll(wal, 'a', 'b', 'c');
  const loop = wal.iterate({ maxBytes: 1 });
  t.deepEqual(await step(loop), ['1: a']);
  await wal.purge({ before: 3 });
  t.like(await rejection(loop.next()), { code: 'TIDEMARK_EXPIRED', sequence: 3n });
});

test('many loops at once, each at its own pace, see the same', async (t) => {
  const { wal } = await openLog(t);
  const paces = Array.from({ length: 20 }, (_, index) => index % 4);
  const loops = paces.map(async (pace) => {
    const found: string[] = [];
    for await (const entries of wal.iterate({ follow: true, maxBytes: 1 + pace * 50 })) {
      found.push(...shown(entries));
      await turns(pace);
      if (found.length >= 200) break;
    }
    return found.join();
  });
  for (let index = 0; index < 200; index += 1) await wal.append(bytes(`record ${index}`));
  const all = shown(await listedIn(wal)).join();
  for (const found of await Promise.all(loops)) t.is(found, all);
});

test('bad options of a loop are refused when it is made', async (t) => {
  const { wal } = await openLog(t);
  const given: unknown[] = [null, 5, { form: 1 }, { from: 0 }, { from: -1n }, { from: 1.5 }];
  given.push({ from: '1' }, { from: 2n ** 64n }, { follow: 1 }, { maxBytes: 0 }, { signal: {} });
  given.push({ maxBytes: 2 ** 32 }, { maxBytes: '1' }, { visibility: 'all' });
  for (const options of given) {
    t.throws(() => wal.iterate(options as never), { code: 'TIDEMARK_INVALID_ARGUMENT' });
  }
});
