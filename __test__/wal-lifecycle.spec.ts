// Processes and worker threads that end while they use a log, and those that share one. The
// exit drain covers what was accepted, a pending follow keeps the event loop alive, and a store
// that is opened twice in a process, in any worker thread, is one instance.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Wal } from '../index.ts';
import { type Ended, type Start, ended, start } from './support/child.ts';
import { picture } from './support/picture.ts';
import { openIn } from './support/process-state.ts';
import { rejection, until } from './support/wait.ts';
import { APPENDS, CONTENDED_ROUNDS } from './support/wal-child.ts';
import { appendAll, bytes, listedIn, newLog, openLog, shown, text } from './support/wals.ts';

const child = (t: ExecutionContext, stage: string, directory: string, how?: Start): ChildProcess =>
  start(t, 'wal-child.ts', [stage, directory], how);

const run = (t: ExecutionContext, stage: string, directory: string, how?: Start): Promise<Ended> =>
  ended(child(t, stage, directory, how));

/** What each child has said since it was first listened to. */
const outputs = new WeakMap<ChildProcess, () => string>();

/** Waits until a child has said something: it may have, before what it answers to is over here. */
async function says(of: ChildProcess, what: string): Promise<void> {
  let said = outputs.get(of);
  if (said === undefined) {
    let output = '';
    of.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    said = () => output;
    outputs.set(of, said);
  }
  const output = said;
  await until(() => output().includes(what), `the child says ${what}`);
}

/** Requires that every append of these names is there, each once and in its order. */
async function allThere(t: ExecutionContext, directory: string, ...names: string[]): Promise<void> {
  const wal = await Wal.open(directory);
  const found = (await listedIn(wal)).map(text);
  for (const name of names) {
    const expected = Array.from({ length: APPENDS }, (_, index) => `${name} ${index}`);
    t.deepEqual(
      found.filter((record) => record.startsWith(`${name} `)),
      expected,
    );
  }
  t.is(found.length, APPENDS * names.length);
  await wal.close();
  t.deepEqual(openIn(directory), []);
}

for (const stage of ['idle log', 'idle log of an hour', 'aborted follow', 'while opening']) {
  test(`a process ends by itself: ${stage}`, async (t) => {
    const { code, signal, stderr } = await run(t, stage, newLog(t));
    t.deepEqual([code, signal], [0, null], stderr);
  });
}

test('a natural end syncs what a level of an hour had left', async (t) => {
  const directory = newLog(t);
  await run(t, 'idle log of an hour', directory);
  const { wal } = await openLog(t, {}, directory);
  t.deepEqual(shown(await listedIn(wal)), ['1: idle']);
  t.true(wal.recovery.wasClosed);
});

test('a pending follow keeps the process alive, here that of a reader', async (t) => {
  const { wal, directory } = await openLog(t);
  await wal.append(bytes('first'));
  const reader = child(t, 'pending follow', directory);
  const end = ended(reader);
  await says(reader, 'waiting');
  await wal.append(bytes('second'));
  await says(reader, 'second');
  t.is(reader.exitCode, null);
  await wal.append(bytes('last'));
  const { code, stdout, stderr } = await end;
  t.is(code, 0, stderr);
  const read = [...stdout.matchAll(/^read (.*)$/gm)].map((match) => match[1]).join();
  t.is(read, 'first,second,last');
});

const ENDS: readonly [string, number][] = [
  ['end', 0],
  ['exit', 0],
  ['exit a tick later', 0],
  ['exit with a level of an hour', 0],
  ['throw', 1],
  ['close and end', 0],
  ['tryAppend and appendMany, then exit', 0],
  ['append in an exit handler', 0],
  ['appendSync in an exit handler', 0],
  ['exit beside a follow', 0],
  ['worker ends', 0],
  ['worker exits', 0],
  ['worker throws', 0],
  ['worker is terminated', 0],
];

for (const [stage, expected] of ENDS) {
  test(`appends that were accepted and not awaited are there: ${stage}`, async (t) => {
    const directory = newLog(t);
    const { code, signal, stderr } = await run(t, stage, directory);
    t.deepEqual([code, signal], [expected, null], stderr);
    await allThere(t, directory, 'append');
  });
}

test('logs collected as garbage finish their appends', async (t) => {
  const directory = newLog(t);
  const { code, stdout, stderr } = await run(t, 'collect', directory, { node: ['--expose-gc'] });
  t.is(code, 0, stderr);
  t.is(stdout, 'left: 0\n');
  for (let index = 0; index < 10; index += 1) await allThere(t, `${directory}.${index}`, 'append');
});

test('eight worker threads share one log, and all of their appends are there', async (t) => {
  const directory = newLog(t);
  const { code, signal, stdout, stderr } = await run(t, 'share between workers', directory);
  t.deepEqual([code, signal, stdout], [0, null, ''], stderr);
  const names = Array.from({ length: 8 }, (_, index) => `worker ${index}`);
  await allThere(t, directory, ...names);
});

test('C11: two processes of 8 threads contend for a log, and nothing is lost', async (t) => {
  const { wal: first, directory } = await openLog(t);
  const both = ['one', 'other'].map(() => child(t, 'contend', directory));
  const over = both.map((one) => ended(one));
  await Promise.all(both.map((one) => says(one, 'TIDEMARK_LOCKED')));
  // Both are in its way now, with all their threads, and get at it together.
  await first.close();
  const ends = await Promise.all(over);
  const lines = ends.flatMap(({ code, stdout, stderr }) => {
    t.is(code, 0, stderr);
    return stdout.trim().split('\n');
  });
  const acknowledged = lines.filter((line) => line !== 'TIDEMARK_LOCKED');
  t.is(acknowledged.length, 2 * 8 * CONTENDED_ROUNDS);
  const { wal } = await openLog(t, {}, directory);
  const found = shown(await listedIn(wal));
  const expected = acknowledged.flatMap((line) => {
    const [first = '', last = '', ...name] = line.split(' ');
    return [`${first}: ${name.join(' ')}a`, `${last}: ${name.join(' ')}b`];
  });
  const byLsn = (one: string, other: string): number => parseInt(one) - parseInt(other);
  t.deepEqual(found, expected.sort(byLsn));
});

test('C11: a second process gets _LOCKED at once, with its holder, until it ends', async (t) => {
  const { wal, directory } = await openLog(t);
  await wal.append(bytes('a'));
  const before = await run(t, 'try to open', directory);
  t.is(before.stdout, `TIDEMARK_LOCKED ${process.pid}\n`, before.stderr);
  t.is(await wal.append(bytes('b')), 2n, 'the holder notices nothing');
  await wal.close();
  const after = await run(t, 'try to open', directory);
  t.is(after.stdout, 'open\n', after.stderr);
});

test('a killed process frees the log at once, whatever it left (not D16)', async (t) => {
  const directory = newLog(t);
  const holder = child(t, 'hold', directory);
  await says(holder, 'open');
  const error = await rejection(Wal.open(directory));
  t.like(error, { code: 'TIDEMARK_LOCKED', holder: holder.pid, path: directory });
  const gone = once(holder, 'exit');
  holder.kill('SIGKILL');
  await gone;
  const { wal } = await openLog(t, {}, directory);
  t.is(await wal.append(bytes('a')), 1n);
});

test('readOnly: beside a writer of this process, or alone, and it writes nothing', async (t) => {
  const { wal, directory } = await openLog(t);
  await appendAll(wal, 'a', 'b');
  const { wal: beside } = await openLog(t, { readOnly: true }, directory);
  t.deepEqual(shown(await listedIn(beside)), ['1: a', '2: b']);
  const writes: Record<string, () => unknown> = {
    append: () => beside.append(bytes('x')),
    tryAppend: () => beside.tryAppend(bytes('x')),
    appendMany: () => beside.appendMany([bytes('x')]),
    truncate: () => beside.truncate({ after: 0 }),
    purge: () => beside.purge({ before: 2 }),
    setHardState: () => beside.setHardState(null),
    sync: () => beside.sync(),
  };
  const unsupported = { code: 'TIDEMARK_UNSUPPORTED' };
  for (const [name, write] of Object.entries(writes)) {
    t.like(await rejection(write() as Promise<unknown>), unsupported, name);
  }
  t.throws(() => beside.appendSync(bytes('x')), unsupported);
  await wal.append(bytes('c'));
  t.is(beside.lastLsn, 3n);
  await beside.close();
  await wal.close();
  const before = picture(directory);
  const { wal: alone } = await openLog(t, { readOnly: true }, directory);
  t.deepEqual(shown(await listedIn(alone)), ['1: a', '2: b', '3: c']);
  t.is(alone.recovery.provenLast, 3n);
  t.like(await rejection(alone.append(bytes('x'))), unsupported);
  await alone.close();
  t.deepEqual(picture(directory), before);
});

test('readOnly makes nothing where there is no log', async (t) => {
  const directory = newLog(t);
  const error = await rejection(Wal.open(directory, { readOnly: true }));
  t.like(error, { code: 'TIDEMARK_IO', errno: 2 });
  t.deepEqual(picture(path.dirname(directory)), []);
});

test('opening and closing over and over leaves nothing open', async (t) => {
  const directory = newLog(t);
  for (let round = 0; round < 30; round += 1) {
    const logs = await Promise.all([Wal.open(directory), Wal.open(directory)]);
    void logs[0].append(bytes(String(round)));
    if (round % 2 === 0) logs[1].closeSync();
    await Promise.all(logs.map((log) => log.close()));
  }
  t.deepEqual(openIn(directory), []);
  const { wal } = await openLog(t, {}, directory);
  t.is(wal.lastLsn, 30n);
});
