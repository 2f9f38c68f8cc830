// Our own log from JavaScript, in the process of the bench, and the floor beside it.
import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { promisify } from 'node:util';
import { Wal } from './published.ts';
import type { ClosedLog, Io, Log } from './logs.ts';

const RECORD = new Uint8Array(256).fill(0x5a);
/** Records of one call of a bulk. */
const LIST = 1024;
const BLOCK = new Uint8Array(4096).fill(0x5a);
/** The size of a segment. */
const FLOOR_BYTES = 16 * 2 ** 20;
/** Large, so that filling is quick: a clean open looks at no record. */
const FILLING = new Uint8Array(64 * 1024).fill(0x5a);

/** So many times, one after the other: the time of each. */
async function times(count: number, what: () => unknown): Promise<number[]> {
  const took: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const began = performance.now();
    await what();
    took.push(performance.now() - began);
  }
  return took;
}

/** As {@link times}, of what blocks: nothing is awaited in between. */
function timesSync(count: number, what: () => unknown): Promise<number[]> {
  const took: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const began = performance.now();
    what();
    took.push(performance.now() - began);
  }
  return Promise.resolve(took);
}

/** A file of written blocks, and where to write next. */
class WrittenFile {
  readonly #file: number;
  #at = 0;

  constructor(name: string) {
    this.#file = fs.openSync(name, 'wx');
    for (let at = 0; at < FLOOR_BYTES; at += BLOCK.length) {
      fs.writeSync(this.#file, new Uint8Array(BLOCK.length), 0, BLOCK.length, at);
    }
    fs.fsyncSync(this.#file);
  }

  /** Writes the next block; the file, to be synced. */
  write(): number {
    fs.writeSync(this.#file, BLOCK, 0, BLOCK.length, this.#at);
    this.#at = (this.#at + BLOCK.length) % FLOOR_BYTES;
    return this.#file;
  }

  close(): Promise<void> {
    fs.closeSync(this.#file);
    return Promise.resolve();
  }
}

/** The floor as Node's own calls reach it. */
export function floorInJavaScript(directory: string): Promise<Log> {
  const file = new WrittenFile(path.join(directory, 'floor-in-javascript'));
  return Promise.resolve({
    name: 'floor, by fs.writeSync and fs.fdatasyncSync',
    single: (count) =>
      timesSync(count, () => {
        fs.fdatasyncSync(file.write());
      }),
    close: () => file.close(),
  });
}

/** The least that JavaScript awaits: the sync alone is done by a thread of Node's own pool. */
export function floorAwaited(directory: string): Promise<Log> {
  const file = new WrittenFile(path.join(directory, 'floor-awaited'));
  const fdatasync = promisify(fs.fdatasync);
  return Promise.resolve({
    name: 'floor, by fs.writeSync and an awaited fs.fdatasync',
    single: (count) => times(count, () => fdatasync(file.write())),
    close: () => file.close(),
  });
}

/** The lists of a bulk. */
const lists = (records: number): Uint8Array[][] =>
  Array.from({ length: Math.ceil(records / LIST) }, (_, index) =>
    Array<Uint8Array>(Math.min(LIST, records - index * LIST)).fill(RECORD),
  );

/** Appends that are awaited. */
export async function awaited(directory: string, io: Io): Promise<Log> {
  const wal = await Wal.open(path.join(directory, `append-${io}`), { io });
  return {
    name: `Tidemark append, ${io}`,
    single: (count) => times(count, () => wal.append(RECORD)),
    together: (count, atOnce) =>
      times(count, () => Promise.all(Array.from({ length: atOnce }, () => wal.append(RECORD)))),
    // In the time: packing, the calls, and waiting for all. Not in it: making the records.
    async bulk(count, records) {
      const all = lists(records);
      return times(count, () => Promise.all(all.map((list) => wal.appendMany(list))));
    },
    purge: () => wal.purge({ before: wal.lastLsn + 1n }),
    close: () => wal.close(),
  };
}

/** Appends that block. */
export async function blocking(directory: string, io: Io): Promise<Log> {
  const wal = await Wal.open(path.join(directory, `append-sync-${io}`), { io });
  return {
    name: `Tidemark appendSync, ${io}`,
    single: (count) => timesSync(count, () => wal.appendSync(RECORD)),
    close: () => wal.close(),
  };
}

/** A closed log with so many bytes in it. */
export async function closedOwn(directory: string, bytes: number): Promise<ClosedLog> {
  const list = Array<Uint8Array>(64).fill(FILLING);
  const filled = await Wal.open(directory);
  for (let done = 0; done < bytes; done += list.length * FILLING.length) {
    await filled.appendMany(list);
  }
  await filled.close();
  return {
    name: 'Tidemark Wal.open, pwrite',
    async open(count) {
      const took: number[] = [];
      for (let index = 0; index < count; index += 1) {
        const began = performance.now();
        const wal = await Wal.open(directory);
        took.push(performance.now() - began);
        await wal.close();
      }
      return took;
    },
    close: () => Promise.resolve(),
  };
}
