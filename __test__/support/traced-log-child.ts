// A log under strace, which is appended to and purged over some segments. Writes marks to
// descriptor 2, so that they are in the trace.
import { Buffer } from 'node:buffer';
import { readdirSync, writeSync } from 'node:fs';
import process from 'node:process';
import { Wal } from '../../index.ts';
import { until } from './wait.ts';

const [, , directory = '', before = '0', within = '0', lone = '0'] = process.argv;
const mark = (text: string): void => void writeSync(2, `mark:${text}\n`);
const named = (what: RegExp): number =>
  readdirSync(directory).filter((name) => what.test(name)).length;

const wal = await Wal.open(directory, { segmentBytes: 64 * 1024 });

/** Appends until the log has rolled once more, purges the rest, and waits for the spare. */
async function roll(): Promise<void> {
  const rolls = wal.metrics()['rolls'];
  while (wal.metrics()['rolls'] === rolls) await wal.append(Buffer.alloc(3000, 1));
  await wal.purge({ before: wal.lastLsn });
  await until(() => named(/\.segment$/) <= 2 && named(/\.spare$/) > 0, 'a segment is a spare');
}

for (let count = 0; count < Number(before); count += 1) await roll();
mark('begin');
for (let count = 0; count < Number(within); count += 1) await roll();
mark('end');
mark('begin');
for (let count = 0; count < Number(lone); count += 1) await wal.append(Buffer.alloc(100, 1));
mark('end');
await wal.close();
