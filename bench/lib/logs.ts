// What is measured beside each other in the benches of the write-ahead log. What is in Rust runs in
// a process of its own (bench/wal-peer), one for each subject.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { atExit } from './at-exit.ts';

const PEER = path.join(import.meta.dirname, '../../target/wal-peer/release/wal-peer');

/** The version that bench/wal-peer is built with. */
const HIQLITE = 'hiqlite-wal 0.15.1, in Rust, Immediate';

/** One of those that are measured. Records have 256 bytes; times are in milliseconds. */
export interface Log {
  readonly name: string;
  /** Appends, each awaited before the next: the time of each. Each is a commit group of its own. */
  single(count: number): Promise<number[]>;
  /** So many appends at once, each with an answer of its own, `count` times: the time of a lot. */
  together?(count: number, atOnce: number): Promise<number[]>;
  /** So many records in one go, `count` times: the time of a lot. */
  bulk?(count: number, records: number): Promise<number[]>;
  close(): Promise<void>;
}

/** A log that was filled and closed. */
export interface ClosedLog {
  readonly name: string;
  /** Opens, and closes again outside of the time: the time of each. */
  open(count: number): Promise<number[]>;
  /** The most memory that the process had which opens it and does nothing else, in bytes. */
  peakMemory(): number;
  close(): Promise<void>;
}

interface Peer {
  /** Gives it a job of the grammar in bench/wal-peer/src/jobs.rs: the time of each. */
  readonly ask: (job: string) => Promise<number[]>;
  /** The most memory that it had, in bytes. */
  readonly peakMemory: () => number;
  readonly close: () => Promise<void>;
}

/** Whether there is anything that can be measured. */
export const peerIsBuilt = (): boolean => existsSync(PEER);

/** Starts the runner with one subject, and waits until that is ready. */
async function peer(...args: string[]): Promise<Peer> {
  const child = spawn(PEER, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  // Its files are on a file system that is going to be unmounted.
  const kill = atExit(() => child.kill('SIGKILL'));
  // Whoever ends early is noticed by the line that does not come.
  child.stdin.on('error', () => undefined);
  await once(child, 'spawn');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<{ readonly took_us?: readonly number[] }> => {
    const line = await lines.next();
    if (line.done === true) throw new Error(`the runner of ${args.join(' ')} ended`);
    return JSON.parse(line.value) as { took_us?: number[] };
  };
  await answer();
  return {
    async ask(job) {
      child.stdin.write(`${job}\n`);
      const { took_us: took = [] } = await answer();
      return took.map((microseconds) => microseconds / 1000);
    },
    peakMemory() {
      const status = readFileSync(`/proc/${child.pid ?? 'self'}/status`, 'utf8');
      return Number(/^VmHWM:\s*(\d+) kB$/m.exec(status)?.[1]) * 1024;
    },
    async close() {
      const exit = once(child, 'exit');
      child.stdin.end();
      await exit;
      kill();
    },
  };
}

/** A subject that knows no more than one after the other. */
async function plain(name: string, ...args: string[]): Promise<Log> {
  const { ask, close } = await peer(...args);
  return { name, single: (count) => ask(`single ${count}`), close };
}

/** The least that a durable append takes: a block that was written before, and a sync. */
export const floor = (directory: string): Promise<Log> =>
  plain('floor: 4 KiB over written blocks, fdatasync', 'floor', path.join(directory, 'floor'));

/** The floor with a commit thread. */
export const handed = (directory: string): Promise<Log> =>
  plain('floor, done by another thread', 'handed', path.join(directory, 'handed'));

/** What is not done: a file that grows. Known to cost 2 flushes and a commit of the journal. */
export const growing = (directory: string): Promise<Log> =>
  plain('control: 4 KiB at the end, fdatasync', 'grow', path.join(directory, 'grow'));

/** One hand-over between two threads. Nothing is appended. */
export const hop = (): Promise<Log> => plain('one hop between threads', 'hop');

/** The log that ours is compared with. */
export async function hiqlite(directory: string): Promise<Log> {
  const { ask, close } = await peer('hiqlite', path.join(directory, 'hiqlite'));
  return {
    name: HIQLITE,
    single: (count) => ask(`single ${count}`),
    together: (count, atOnce) => ask(`together ${count} ${atOnce}`),
    bulk: (count, records) => ask(`bulk ${count} ${records}`),
    close,
  };
}

/** The same log, filled with so many bytes by another process. */
export async function closedHiqlite(directory: string, bytes: number): Promise<ClosedLog> {
  const filler = spawn(PEER, ['hiqlite-fill', directory, String(bytes)], { stdio: 'inherit' });
  const kill = atExit(() => filler.kill('SIGKILL'));
  const [code] = (await once(filler, 'exit')) as [number | null];
  kill();
  if (code !== 0) throw new Error('it could not be filled');
  const { ask, close, peakMemory } = await peer('hiqlite-open', directory);
  return { name: HIQLITE, open: (count) => ask(`open ${count}`), peakMemory, close };
}
