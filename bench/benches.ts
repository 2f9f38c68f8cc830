// The benches, by name. Each prints a table, and what was demanded beside what came out.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as after } from 'node:timers/promises';
import { JsonFileStore } from './lib/published.ts';
import { demand, latency, number, present, table } from './lib/report.ts';
import { lmdb, lockAndWrite, sqlite } from './lib/rivals.ts';
import { type Rounds, alternate, median, ratio } from './lib/rounds.ts';
import { type Subject, aviso, floor, tidemark } from './lib/subjects.ts';
import { KEYS, all, next } from './lib/workload.ts';
import { wal } from './wal.ts';
import { walFollow } from './wal-follow.ts';
import { walOpen } from './wal-open.ts';

const AVISO = path.join(import.meta.dirname, '../target/aviso/release/aviso-peer');
const AT_ONCE = 64;

async function openAviso(directory: string, bytes: Uint8Array): Promise<Subject> {
  if (!existsSync(AVISO)) throw new Error('its runner was not built');
  return aviso(AVISO, directory, bytes);
}

const perSecond = (rounds: Rounds, puts = 1): number => (puts * 1000) / median(rounds.flat());

/** One put after the other. */
async function put(directory: string): Promise<void> {
  const ours = await tidemark(directory);
  const bytes = readFileSync(ours.file);
  const lowest = floor(directory, bytes);
  const rivals = {
    'the aviso crate': () => openAviso(directory, bytes),
    'proper-lockfile + write-file-atomic': () => lockAndWrite(directory, bytes),
    lmdb,
    'better-sqlite3': sqlite,
  };
  const others = await present<Subject>(rivals, directory);
  const subjects = [lowest, ours, ...others];
  const measures = subjects.map((subject) => () => subject.sequential(10));
  const rounds = await alternate(measures, 30);
  const [of = [], to = []] = [rounds[1], rounds[0]];
  table(
    `put: one after the other, ${KEYS.length} keys, ${number(bytes.length / 1000)} kB as JSON`,
    ['', 'p50 ms', 'p99 ms', 'puts/s', 'of the floor'],
    subjects.map(({ name }, index) => {
      const own = rounds[index] ?? [];
      return [name, ...latency(own), number(perSecond(own)), `${number(ratio(own, to))}x`];
    }),
  );
  const times = ratio(of, to);
  demand('sequential put within 1.5x of the floor', `${number(times)}x`, times <= 1.5);
  for (const subject of subjects) await subject.close();
}

/** 64 puts at once. */
async function together(directory: string): Promise<void> {
  const ours = await tidemark(directory);
  const bytes = readFileSync(ours.file);
  const rivals = { 'the aviso crate': () => openAviso(directory, bytes), lmdb };
  const others = await present<Subject>(rivals, directory);
  const subjects = [ours, ...others];
  const measures = subjects.map((one) => () => one.together?.(2, AT_ONCE) ?? []);
  const rounds = await alternate([() => ours.sequential(20), ...measures], 15);
  const [alone = [], at64 = []] = rounds;
  table(
    `together: ${AT_ONCE} puts at once, ${KEYS.length} keys`,
    ['', 'p50 ms', 'p99 ms', 'puts/s'],
    [
      ['Tidemark JsonFileStore, one after the other', ...latency(alone), number(perSecond(alone))],
      ...subjects.map(({ name }, index) => {
        const own = rounds[index + 1] ?? [];
        return [`${name}, ${AT_ONCE} at once`, ...latency(own), number(perSecond(own, AT_ONCE))];
      }),
    ],
  );
  const gain = AT_ONCE * ratio(alone, at64);
  demand('at least 20x the sequential rate', `${number(gain)}x`, gain >= 20);
  if (others[0]?.name.includes('aviso') === true) {
    const times = ratio(rounds[2] ?? [], at64);
    demand("at least 100x the aviso crate's rate", `${number(times)}x`, times >= 100);
  }
  for (const subject of subjects) await subject.close();
}

/** Reading from memory, beside a Map of JavaScript. */
async function getSync(directory: string): Promise<void> {
  const CALLS = 500_000;
  const store = await JsonFileStore.open(path.join(directory, 'state.json'));
  await store.putMany(all());
  const map = new Map(all().map(([key, checkpoint]) => [key.hex, checkpoint]));
  const loop = (read: (index: number) => unknown): number[] => {
    const began = performance.now();
    for (let call = 0; call < CALLS; call += 1) {
      if (read(call % KEYS.length) === undefined) throw new Error('a key is missing');
    }
    return [performance.now() - began];
  };
  const key = (index: number): (typeof KEYS)[number] => KEYS[index] as (typeof KEYS)[number];
  const rounds = await alternate(
    [
      () => loop((index) => ({ ...map.get(key(index).hex) })),
      () => loop((index) => store.getSync(key(index))),
    ],
    15,
  );
  const millions = rounds.map((own) => perSecond(own, CALLS) / 1e6);
  const names = ['floor: a Map by hex, and a copy', 'Tidemark getSync'];
  table(
    `get-sync: reading from memory, ${KEYS.length} keys`,
    ['', 'million/s', 'ns'],
    names.map((name, index) => [
      name,
      number(millions[index] ?? 0),
      number(1000 / (millions[index] ?? 0)),
    ]),
  );
  const rate = millions[1] ?? 0;
  demand('getSync at least 2 million per second', `${number(rate)} million`, rate >= 2);
  await store.close();
}

/** From SIGKILL of the lock's holder to the result of the put that waited for it. */
async function handOver(directory: string): Promise<void> {
  const file = path.join(directory, 'state.json');
  const store = await JsonFileStore.open(file);
  await store.putMany(all());
  const gone: number[] = [];
  const resolved: number[] = [];
  for (let round = 0; round < 20; round += 1) {
    const holder = fork(path.join(import.meta.dirname, 'lib/holder.ts'), [`${file}.lock`]);
    await once(holder, 'message');
    const put = store.put(...next());
    // The put is to wait in the kernel by then; longer makes no difference.
    await after(50);
    const began = performance.now();
    holder.kill('SIGKILL');
    const exit = once(holder, 'exit').then(() => gone.push(performance.now() - began));
    await Promise.all([exit, put.then(() => resolved.push(performance.now() - began))]);
  }
  table(
    'hand-over: SIGKILL of the process that holds the lock, 20 times',
    ['', 'p50 ms', 'p99 ms'],
    [
      ['floor: its parent hears that it is gone', ...latency([gone])],
      ['the put that waited has resolved', ...latency([resolved])],
    ],
  );
  const worst = Math.max(...resolved);
  demand('hand-over under 50 ms', `at most ${number(worst)} ms`, worst < 50);
  await store.close();
}

/** Every bench, by name. Each gets a directory that it has for itself. */
export const BENCHES: Readonly<Record<string, (directory: string) => Promise<void>>> = {
  put,
  together,
  'get-sync': getSync,
  'hand-over': handOver,
  wal,
  'wal-follow': walFollow,
  'wal-open': walOpen,
};
