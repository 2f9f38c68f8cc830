// The bench of following a write-ahead log from another process: from the beginning of an append
// until the follower has the entry.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import process from 'node:process';
import { setImmediate as turn } from 'node:timers/promises';
import { Wal } from '../index.ts';
import { atExit } from './lib/at-exit.ts';
import { judgeFollowing } from './lib/log-demands.ts';
import { floorInJavaScript } from './lib/own-logs.ts';
import { latency, table } from './lib/report.ts';
import { type Rounds, alternate } from './lib/rounds.ts';

const RECORD = new Uint8Array(256).fill(0x5a);
const VISIBILITIES = ['durable', 'written'] as const;
const SAMPLES = 20;
const ROUNDS = 20;

/** A log with a follower in a process of its own. */
interface Followed {
  readonly visibility: (typeof VISIBILITIES)[number];
  /** Appends one by one: how long each took until the follower had it, in milliseconds. */
  seen(count: number): Promise<number[]>;
  /** The same appends: how long each took until its caller heard of it. */
  readonly heard: number[];
  close(): Promise<void>;
}

const milliseconds = (from: bigint, to: bigint): number => Number(to - from) / 1e6;

/** What a follower says next. */
async function said(child: ChildProcess): Promise<[lsn: string, at: string]> {
  const [message] = (await once(child, 'message')) as [[string, string]];
  return message;
}

async function followed(directory: string, visibility: Followed['visibility']): Promise<Followed> {
  const wal = await Wal.open(directory);
  const script = path.join(import.meta.dirname, 'lib/follower.ts');
  const child = fork(script, [directory, visibility]);
  const kill = atExit(() => child.kill('SIGKILL'));
  await said(child);
  const heard: number[] = [];
  return {
    visibility,
    heard,
    async seen(count) {
      const took: number[] = [];
      for (let index = 0; index < count; index += 1) {
        // What was said about the one before is dealt with on both sides.
        await turn();
        const told = said(child);
        const began = process.hrtime.bigint();
        const lsn = await wal.append(RECORD);
        heard.push(milliseconds(began, process.hrtime.bigint()));
        const [seen, at] = await told;
        if (BigInt(seen) !== lsn) throw new Error(`the follower has ${seen}, not ${lsn}`);
        took.push(milliseconds(began, BigInt(at)));
      }
      return took;
    },
    async close() {
      const exit = once(child, 'exit');
      child.disconnect();
      await exit;
      kill();
      await wal.close();
    },
  };
}

/** Following, beside what the sync alone takes. */
export async function walFollow(directory: string): Promise<void> {
  const lowest = await floorInJavaScript(directory);
  const logs: Followed[] = [];
  for (const visibility of VISIBILITIES) {
    logs.push(await followed(path.join(directory, visibility), visibility));
  }
  const [floor = [], ...seen] = await alternate(
    [() => lowest.single(SAMPLES), ...logs.map((log) => () => log.seen(SAMPLES))],
    ROUNDS,
  );
  const rows = logs.flatMap(({ visibility, heard }, index): [string, Rounds][] => [
    [`${visibility}: the caller of append hears of it`, [heard]],
    [`${visibility}: a follower in another process has it`, seen[index] ?? []],
  ]);
  table(
    'wal-follow: from the beginning of an append of 256 bytes, level immediate',
    ['', 'p50 ms', 'p99 ms'],
    [[lowest.name, ...latency(floor)], ...rows.map(([name, own]) => [name, ...latency(own)])],
  );
  for (const [index, { visibility }] of logs.entries()) {
    judgeFollowing(visibility, seen[index] ?? [], visibility === 'durable' ? floor : undefined);
  }
  for (const log of logs) await log.close();
  await lowest.close();
}
