// The bench of opening a write-ahead log: what lies in sealed segments, after a clean close.
import path from 'node:path';
import { judgeOpen } from './lib/log-demands.ts';
import { type ClosedLog, closedHiqlite, closedInRust } from './lib/logs.ts';
import { closedOwn } from './lib/own-logs.ts';
import { latency, number, present, table } from './lib/report.ts';
import { alternate } from './lib/rounds.ts';

/** Whose memory depends on the size of the log shows it. */
const SIZES = { '64 MiB': 2 ** 26, '4 GiB': 2 ** 32 } as const;

/** Who opens what was closed, in a directory that it makes, with so many bytes in it. */
const OPENERS: Readonly<Record<string, (where: string, bytes: number) => Promise<ClosedLog>>> = {
  'Tidemark in Rust': closedInRust,
  'Tidemark from JavaScript': closedOwn,
  'hiqlite-wal': closedHiqlite,
};

/** Opens each in turn. */
export async function walOpen(directory: string): Promise<void> {
  const makers = Object.entries(OPENERS).flatMap(([name, make]) =>
    Object.entries(SIZES).map(([size, bytes]) => {
      const where = path.join(directory, `${name}, ${size}`);
      const made = async () => ({ who: name, size, log: await make(where, bytes) });
      return [`${name}, ${size}`, made] as const;
    }),
  );
  const subjects = await present(Object.fromEntries(makers), directory);
  const rounds = await alternate(
    subjects.map(
      ({ log }) =>
        () =>
          log.open(1),
    ),
    20,
  );
  const memory = subjects.map(({ log }) => log.peakMemory?.());
  table(
    'wal-open: segments of 16 MiB, closed before',
    ['', 'p50 ms', 'p99 ms', 'peak MiB of memory'],
    subjects.map(({ size, log }, index) => {
      const peak = memory[index];
      const mebibytes = peak === undefined ? '' : number(peak / 2 ** 20);
      return [`${log.name}, ${size}`, ...latency(rounds[index] ?? []), mebibytes];
    }),
  );
  for (const [index, { who, size, log }] of subjects.entries()) {
    if (size !== '4 GiB' || who === 'hiqlite-wal') continue;
    const small = subjects.findIndex((other) => other.who === who && other.size !== size);
    judgeOpen(log.name, rounds[index] ?? [], memory[small], memory[index]);
  }
  for (const { log } of subjects) await log.close();
}
