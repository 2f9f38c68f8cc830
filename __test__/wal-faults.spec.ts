// A medium that is full, and one that fails: E-3 of crates/core/src/wal/engine.rs ("after a write
// or a sync that failed nothing more is written"), promise 4, and what the log tells of it. Limits
// are those of the whole process: one test at a time.
import { Buffer } from 'node:buffer';
import path from 'node:path';
import test from 'ava';
import { type TidemarkError, Wal } from '../index.ts';
import { limit, smallFileSystem } from './support/limits.ts';
import { rejection, turns, until } from './support/wait.ts';
import { SMALL, appendAll, bytes, listedIn, newLog, openLog, shown } from './support/wals.ts';

test.serial('a full device: appends are refused, readers go on, a purge makes room', async (t) => {
  const mounted = smallFileSystem(t, 'size=512k');
  if (mounted === undefined) {
    t.pass();
    return;
  }
  const wal = await Wal.open(path.join(mounted, 'log'), SMALL);
  t.teardown(() => wal.close());
  const told: TidemarkError[] = [];
  wal.on('noSpace', (error) => told.push(error));
  const refused: TidemarkError[] = [];
  let last = 0n;
  while (refused.length === 0 && last < 5000n) {
    await wal.append(Buffer.alloc(1000, `${last + 1n} `)).then(
      (lsn) => (last = lsn),
      (error: unknown) => refused.push(error as TidemarkError),
    );
  }
  t.deepEqual(
    refused.map(({ code }) => code),
    ['TIDEMARK_NO_SPACE'],
  );
  t.false('indeterminate' in (refused[0] ?? {}), 'nothing was appended');
  t.is(wal.lastLsn, last);
  t.like(await rejection(wal.append(Buffer.alloc(1000))), { code: 'TIDEMARK_NO_SPACE' });
  await until(() => told.length > 0, 'the event comes');
  await turns(5);
  t.is(told.length, 1, 'once, not for each');
  t.is(told[0]?.code, 'TIDEMARK_NO_SPACE');
  t.is((await listedIn(wal)).length, Number(last));
  await wal.purge({ before: last });
  let appended: bigint | undefined;
  await until(async () => {
    appended = await wal.append(Buffer.alloc(1000)).catch(() => undefined);
    return appended !== undefined;
  }, 'the purge has made room');
  t.is(appended, last + 1n);
  await wal.close();
  const again = await Wal.open(path.join(mounted, 'log'), SMALL);
  t.deepEqual(
    (await listedIn(again)).map(({ lsn }) => lsn),
    [last, last + 1n],
  );
  await again.close();
});

test.serial(
  'E-3: after a write that failed the log takes nothing more until reopened',
  async (t) => {
    const directory = newLog(t);
    const wal = await Wal.open(directory);
    t.teardown(() => wal.close());
    await appendAll(wal, 'a', 'b');
    const told: TidemarkError[] = [];
    wal.on('poisoned', (error) => told.push(error));
    const follower = rejection(wal.iterate({ from: 3, follow: true }).next());
    // Every byte of the segment exists, but no process under this limit may write at them.
    t.teardown(() => {
      limit('fsize', 'unlimited');
    });
    limit('fsize', 4096);
    const failed = (await rejection(wal.append(bytes('lost')))) as TidemarkError;
    limit('fsize', 'unlimited');
    t.like(failed, { code: 'TIDEMARK_IO', errno: 27, indeterminate: true });
    const poisoned = { code: 'TIDEMARK_POISONED', name: 'TidemarkError' };
    t.like(await follower, poisoned);
    const later = (await rejection(wal.append(bytes('c')))) as TidemarkError;
    t.like(later, poisoned);
    t.true(later.cause instanceof Error, 'with what happened behind it');
    t.like(await rejection(wal.sync()), poisoned);
    t.like(await rejection(wal.setHardState(null)), poisoned);
    t.throws(() => wal.appendSync(bytes('c')), poisoned);
    await until(() => told.length > 0, 'the event comes');
    t.is(told.map(({ code }) => code).join(), 'TIDEMARK_IO', 'once, with what happened');
    t.deepEqual(
      shown(await wal.readRange({ from: 1 })),
      ['1: a', '2: b'],
      'what is durable is read',
    );
    t.like(await rejection(Wal.open(directory)), poisoned, 'while a handle is open');
    await wal.close();
    const { wal: again } = await openLog(t, {}, directory);
    t.deepEqual(shown(await listedIn(again)), ['1: a', '2: b']);
    t.is(await again.append(bytes('c')), 3n);
  },
);
