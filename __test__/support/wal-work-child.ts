// A process that works with a log until it is killed: it says what the log may hold before each
// part of its work, and that it was acknowledged after it. Arguments: the log's directory, its
// options in JSON, a seed, and the file in which it says so.
import { openSync, writeSync } from 'node:fs';
import process from 'node:process';
import { Wal, type WalOptions } from '../../index.ts';
import { Random } from './random.ts';
import { Work, digestOf, heldBy } from './wal-work.ts';

const [directory = '', options = '{}', seed = '0', file = ''] = process.argv.slice(2);
/** Changes that are handed over at once. */
const BURST_MAX = 8;
/** Far more than it takes until it is killed, and an end if whoever kills it is gone. */
const ROUNDS_MAX = 100_000;

// A pipe would keep lines back while whoever reads them is busy.
const output = openSync(file, 'w');
const say = (line: string): void => void writeSync(output, `${line}\n`);

const random = new Random(Number(seed));
const work = new Work(random, { recordBytesMax: 11_000, entriesMax: 200 });
const wal = await Wal.open(directory, JSON.parse(options) as WalOptions);
work.adopt(await heldBy(wal, 'written'));
say(`done ${digestOf(work.held)}`);
for (let round = 0; round < ROUNDS_MAX; round += 1) {
  const states: string[] = [];
  const calls = Array.from({ length: 1 + random.below(BURST_MAX) }, () => {
    const call = work.draw();
    states.push(digestOf(work.held));
    return call;
  });
  say(`begin ${states.join(',')}`);
  await Promise.all(calls.map((call) => call(wal)));
  say(`done ${digestOf(work.held)}`);
}
