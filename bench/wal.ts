// The benches of the write-ahead log. A subject is one object of lib/logs.ts and one entry of the
// table of its bench here; what is counted and compared follows from what it can do.
import path from 'node:path';
import { type Cost, type Image, makeImage } from './lib/image.ts';
import {
  type ClosedLog,
  type Log,
  closedHiqlite,
  floor,
  growing,
  handed,
  hiqlite,
  hop,
  peerIsBuilt,
} from './lib/logs.ts';
import { demand, latency, leftOut, note, number, present, table } from './lib/report.ts';
import { type Rounds, alternate, median, ratio } from './lib/rounds.ts';

const NOT_BUILT = 'its runner in Rust was not built';
const AT_ONCE = 64;
const BULK = 100_000;
/** Enough for all that is appended here. */
const IMAGE_BYTES = 2 * 2 ** 30;
/** Whose memory depends on the size of the log shows it. */
const OPENED = { '64 MiB': 2 ** 26, '4 GiB': 2 ** 32 };
/** So many commit groups between two readings of the counters. */
const COUNTED = 1000;

/** Who appends, beside the floor. */
const SUBJECTS: Readonly<Record<string, (directory: string) => Promise<Log>>> = {
  'the floor in another thread': handed,
  'hiqlite-wal': hiqlite,
};

/** Who opens what was closed, in a directory that it makes, with so many bytes in it. */
const OPENERS: Readonly<Record<string, (where: string, bytes: number) => Promise<ClosedLog>>> = {
  'hiqlite-wal': closedHiqlite,
};

/** Runs something on an image with counters; where none can be made, in the directory itself. */
async function onImage(
  directory: string,
  run: (where: string, image: Image | undefined) => Promise<void>,
): Promise<void> {
  let image: Image | undefined;
  try {
    image = makeImage(directory, IMAGE_BYTES);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    leftOut('the journaled image, and with it all counts', why);
  }
  try {
    await run(image?.directory ?? directory, image);
  } finally {
    image?.close();
  }
}

/** The rounds of each who has any, by turns. */
async function byTurns(
  subjects: readonly Log[],
  measure: (subject: Log) => Promise<number[]>,
  count: number,
): Promise<ReadonlyMap<Log, Rounds>> {
  const rounds = await alternate(
    subjects.map((subject) => () => measure(subject)),
    count,
  );
  return new Map(subjects.map((subject, index) => [subject, rounds[index] ?? []]));
}

const microseconds = (rounds: Rounds): string[] =>
  latency(rounds.map((round) => round.map((milliseconds) => milliseconds * 1000)));

/** Records per second, or nothing for who was not measured. */
const rate = (rounds: Rounds | undefined, records: number, unit = 1): string =>
  rounds === undefined ? '' : number((records * 1000) / median(rounds.flat()) / unit);

const costs = (cost: Cost | undefined): string[] =>
  cost === undefined
    ? ['', '', '']
    : [cost.flushes.toFixed(2), cost.journalCommits.toFixed(2), number(cost.bytes / 1024)];

/** What each commit group costs the device, one subject after the other. */
async function counts(image: Image, subjects: readonly Log[]): Promise<ReadonlyMap<Log, Cost>> {
  const taken = new Map<Log, Cost>();
  for (const subject of subjects) {
    taken.set(subject, await image.count(COUNTED, () => subject.single(COUNTED)));
  }
  return taken;
}

/** The counters are believed if they show what is known of these two. */
function judgeCounters(of: Cost | undefined, grown: Cost | undefined): void {
  if (of === undefined || grown === undefined) return;
  const near = (value: number, to: number): boolean => Math.abs(value - to) <= 0.02;
  const say = ({ flushes, journalCommits }: Cost): string =>
    `${flushes.toFixed(2)} and ${journalCommits.toFixed(2)}`;
  const one = near(of.flushes, 1) && near(of.journalCommits, 0);
  demand('the counters: 1 flush and 0 commits of the journal for the floor', say(of), one);
  const two = near(grown.flushes, 2) && near(grown.journalCommits, 1);
  demand('the counters: 2 flushes and 1 commit for the control', say(grown), two);
}

async function append(directory: string, image: Image | undefined): Promise<void> {
  const [lowest, control, hops] = [await floor(directory), await growing(directory), await hop()];
  const subjects = [lowest, control, ...(await present(SUBJECTS, directory))];
  const single = await byTurns([...subjects, hops], (subject) => subject.single(20), 75);
  // Before anybody has written much at once: a map whose pages came in large pieces is written back
  // in such pieces ever after, and hiqlite-wal would show a hundred times the bytes.
  const counted = image === undefined ? undefined : await counts(image, subjects);
  const together = await byTurns(
    subjects.filter((subject) => subject.together !== undefined),
    (subject) => subject.together?.(1, AT_ONCE) ?? Promise.resolve([]),
    10,
  );
  const inOneGo = (records: number, count: number): Promise<ReadonlyMap<Log, Rounds>> =>
    byTurns(
      subjects.filter((subject) => subject.bulk !== undefined),
      (subject) => subject.bulk?.(1, records) ?? Promise.resolve([]),
      count,
    );
  const batch = await inOneGo(AT_ONCE, 20);
  const bulk = await inOneGo(BULK, 5);
  const of = (subject: Log): Rounds => single.get(subject) ?? [];
  table(
    'wal: appends of 256 bytes, durable when awaited',
    [
      ...['', 'p50 us', 'p99 us', 'of the floor', '64 at once: records/s', '64 in one batch'],
      ...['100,000: million/s', 'flushes', 'journal commits', 'KiB written'],
    ],
    subjects.map((subject) => [
      subject.name,
      ...microseconds(of(subject)),
      `${number(ratio(of(subject), of(lowest)))}x`,
      rate(together.get(subject), AT_ONCE),
      rate(batch.get(subject), AT_ONCE),
      rate(bulk.get(subject), BULK, 1e6),
      ...costs(counted?.get(subject)),
    ]),
  );
  const [alone = 0, hopping = 0] = [lowest, hops].map((one) => median(of(one).flat()) * 1000);
  note(`${hops.name}: ${number(hopping)} us; with the floor ${number(alone + hopping)} us`);
  judgeCounters(counted?.get(lowest), counted?.get(control));
  for (const subject of [...subjects, hops]) await subject.close();
}

/** Appends, and what they cost the device. */
export async function wal(directory: string): Promise<void> {
  if (!peerIsBuilt()) {
    leftOut('wal', NOT_BUILT);
    return;
  }
  await onImage(directory, append);
}

/** Opening what lies in sealed segments, after a clean close. */
export async function walOpen(directory: string): Promise<void> {
  if (!peerIsBuilt()) {
    leftOut('wal-open', NOT_BUILT);
    return;
  }
  const makers = Object.entries(OPENERS).flatMap(([name, make]) =>
    Object.entries(OPENED).map(([size, bytes]) => {
      const where = path.join(directory, `${name}, ${size}`);
      return [`${name}, ${size}`, async () => ({ size, log: await make(where, bytes) })] as const;
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
  table(
    'wal-open: segments of 16 MiB, closed before',
    ['', 'p50 ms', 'p99 ms', 'peak MiB of memory'],
    subjects.map(({ size, log }, index) => [
      `${log.name}, ${size}`,
      ...latency(rounds[index] ?? []),
      number(log.peakMemory() / 2 ** 20),
    ]),
  );
  for (const { log } of subjects) await log.close();
}
