// What is measured beside each other in the benches of the write-ahead log: what is in Rust. Ours
// from JavaScript: own-logs.ts.
import path from 'node:path';
import { peer, peerMakes } from './peer.ts';

/** The version that bench/wal-peer is built with. */
const HIQLITE = 'hiqlite-wal 0.15.1, in Rust, Immediate';
const BEST_CASE = `${HIQLITE}, best case`;

/** How ours reads and writes its segments. */
export type Io = 'pwrite' | 'mmap';

/** One of those that are measured. Records have 256 bytes; times are in milliseconds. */
export interface Log {
  readonly name: string;
  /** Appends, each awaited before the next: the time of each. Each is a commit group of its own. */
  single(count: number): Promise<number[]>;
  /** So many appends at once, each with an answer of its own, `count` times: the time of a lot. */
  together?(count: number, atOnce: number): Promise<number[]>;
  /** So many records in one go, `count` times: the time of a lot. */
  bulk?(count: number, records: number): Promise<number[]>;
  /** Gives up what was appended, as a program does that has taken a snapshot. */
  purge?(): Promise<unknown>;
  close(): Promise<void>;
}

/** A log that was filled and closed. */
export interface ClosedLog {
  readonly name: string;
  /** Opens, and closes again outside of the time: the time of each. */
  open(count: number): Promise<number[]>;
  /** The most memory that a process had which opens it and does nothing else, in bytes. */
  peakMemory?(): number;
  close(): Promise<void>;
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
export const hop = (): Promise<Log> => plain('one hop between two warm threads', 'hop');

async function log(name: string, ...args: string[]): Promise<Log> {
  const { ask, close } = await peer(...args);
  return {
    name,
    single: (count) => ask(`single ${count}`),
    together: (count, atOnce) => ask(`together ${count} ${atOnce}`),
    bulk: (count, records) => ask(`bulk ${count} ${records}`),
    purge: () => ask('purge 1'),
    close,
  };
}

/** The log that ours is compared with, as its users call it. */
export const hiqlite = (directory: string): Promise<Log> =>
  plain(HIQLITE, 'hiqlite-raft', path.join(directory, 'hiqlite-raft'));

/** The same below its interface, without anything but the log. */
export const hiqliteAtBest = (directory: string): Promise<Log> =>
  log(BEST_CASE, 'hiqlite', path.join(directory, 'hiqlite'));

/** Ours, without JavaScript. */
export const inRust = (directory: string, io: Io): Promise<Log> =>
  log(`Tidemark Wal in Rust, ${io}`, 'tidemark', path.join(directory, `rust-${io}`), io);

async function closed(name: string, ...args: string[]): Promise<ClosedLog> {
  const { ask, close, peakMemory } = await peer(...args);
  return { name, open: (count) => ask(`open ${count}`), peakMemory, close };
}

/** The log that ours is compared with, filled with so many bytes by another process. */
export async function closedHiqlite(directory: string, bytes: number): Promise<ClosedLog> {
  await peerMakes('hiqlite-fill', directory, String(bytes));
  return closed(BEST_CASE, 'hiqlite-open', directory);
}

/** Ours, filled with so many bytes by another process. */
export async function closedInRust(directory: string, bytes: number): Promise<ClosedLog> {
  await peerMakes('tidemark-fill', directory, String(bytes));
  return closed('Tidemark Wal in Rust, pwrite', 'tidemark-open', directory);
}
