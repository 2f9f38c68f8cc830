// A log on a medium whose second sync is slow: strace sees to that. Says what the log told after
// each append, and what it counted.
import { Buffer } from 'node:buffer';
import process from 'node:process';
import { setImmediate as tick } from 'node:timers/promises';
import { Wal } from '../../index.ts';

const [, , directory = ''] = process.argv;
const wal = await Wal.open(directory);
const told: number[] = [];
wal.on('slowSync', ({ durationMs }) => told.push(durationMs));
const counts: number[] = [];
for (const text of ['quick', 'slow', 'quick again']) {
  await wal.append(Buffer.from(text));
  while (text === 'slow' && told.length === 0) await tick();
  counts.push(told.length);
}
const { syncs, syncUs } = wal.metrics();
await wal.close();
const found = { told, counts, syncs: Number(syncs), syncUs };
process.stdout.write(JSON.stringify(found));
