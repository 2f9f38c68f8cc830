// Logs for the specs about them.
import { Buffer } from 'node:buffer';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Entry, Wal, type WalIterateOptions, type WalOptions } from '../../index.ts';
import { tempDir } from './temp-dir.ts';

/** Where a log may be made; removed after the test. */
export const newLog = (t: ExecutionContext): string => path.join(tempDir(t), 'log');

/** Opens a log, in a directory of its own unless one is given; closed after the test. */
export async function openLog(
  t: ExecutionContext,
  options?: WalOptions,
  directory: string = newLog(t),
): Promise<{ readonly wal: Wal; readonly directory: string }> {
  const wal = await Wal.open(directory, options);
  t.teardown(() => wal.close());
  return { wal, directory };
}

/** The bytes of a text. */
export const bytes = (text: string): Uint8Array => Buffer.from(text);

/** The text of an entry, or of other bytes. */
export const text = (of: Entry | Uint8Array): string =>
  Buffer.from(of instanceof Uint8Array ? of : of.data).toString();

/** The texts of entries by LSN, as `1: a`. */
export const shown = (entries: readonly Entry[]): string[] =>
  entries.map((entry) => `${entry.lsn}: ${text(entry)}`);

/** Everything that a loop over a log gives. */
export async function listedIn(wal: Wal, options?: WalIterateOptions): Promise<Entry[]> {
  const all: Entry[] = [];
  for await (const entries of wal.iterate(options)) all.push(...entries);
  return all;
}

/** Appends records of these texts, one atomic batch. */
export const appendAll = (
  wal: Wal,
  ...texts: string[]
): Promise<{ readonly first: bigint; readonly last: bigint }> => wal.appendMany(texts.map(bytes));

/** The segments of a log, by name. */
export const segmentsOf = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.search(/^[0-9a-f]{8}[.]segment$/) === 0)
    .sort();

/** The smallest segments there may be. */
export const SMALL: WalOptions = { segmentBytes: 32 * 1024 };

/** Appends records until the log has so many segments; the number of the last LSN. */
export async function fillSegments(
  wal: Wal,
  directory: string,
  count: number,
  recordBytes = 1024,
): Promise<bigint> {
  let last = wal.lastLsn;
  while (segmentsOf(directory).length < count) {
    const record = Buffer.alloc(recordBytes, `${last + 1n} `);
    last = await wal.append(record);
  }
  return last;
}
