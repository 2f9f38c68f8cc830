// The bench of appends to a write-ahead log. A subject is one maker in a table here; what is
// counted and compared follows from what it can do.
import { type Cost, type Image, makeImage } from './lib/image.ts';
import {
  type Hops,
  hopInNode,
  judgeAwaited,
  judgeBlocking,
  judgeCost,
  judgeCounters,
  judgeRates,
  judgeRival,
  judgeRivalAtBest,
  judgeRivalInRust,
  perSecond,
} from './lib/log-demands.ts';
import {
  type Log,
  floor,
  growing,
  handed,
  hiqlite,
  hiqliteAtBest,
  hop,
  inRust,
} from './lib/logs.ts';
import {
  AT_ONCE,
  BULK,
  type MakeLog,
  type Measured,
  bulkIntoNew,
  measure,
} from './lib/measured-logs.ts';
import { awaited, blocking, floorAwaited, floorInJavaScript } from './lib/own-logs.ts';
import { latency, leftOut, note, number, table } from './lib/report.ts';
import { type Rounds, quantile, ratio } from './lib/rounds.ts';

/** Enough for all that is appended here. */
const IMAGE_BYTES = 3 * 2 ** 30;

/** Who is measured. What is in Rust is left out where its runner was not built. */
const MAKERS = {
  floor,
  floorInJavaScript,
  floorAwaited,
  growing,
  handed,
  rustPwrite: (directory: string) => inRust(directory, 'pwrite'),
  rustMmap: (directory: string) => inRust(directory, 'mmap'),
  appendPwrite: (directory: string) => awaited(directory, 'pwrite'),
  appendMmap: (directory: string) => awaited(directory, 'mmap'),
  appendSyncPwrite: (directory: string) => blocking(directory, 'pwrite'),
  appendSyncMmap: (directory: string) => blocking(directory, 'mmap'),
  hiqlite,
  hiqliteAtBest,
  hop,
} satisfies Record<string, MakeLog>;

type Name = keyof typeof MAKERS;
type Found = Partial<Record<Name, Log>>;

/** Those that there are; for each that is not, it says why. */
async function open(directory: string): Promise<Found> {
  const found: Found = {};
  for (const [name, make] of Object.entries(MAKERS)) {
    try {
      found[name as Name] = await make(directory);
    } catch (error) {
      leftOut(name, String(error));
    }
  }
  return found;
}

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

const microseconds = (rounds: Rounds): string[] =>
  latency(rounds.map((round) => round.map((milliseconds) => milliseconds * 1000)));

/** Records per second, or nothing for who was not measured. */
const rate = (rounds: Rounds, records: number, unit = 1): string =>
  rounds.length === 0 ? '' : number(perSecond(rounds, records) / unit);

const costs = (cost: Cost | undefined): string[] =>
  cost === undefined
    ? ['', '', '']
    : [cost.flushes.toFixed(2), cost.journalCommits.toFixed(2), number(cost.bytes / 1024)];

function print(rows: readonly Measured[], lowest: Measured, intoNew: Map<Log, Rounds>): void {
  table(
    'wal: appends of 256 bytes, durable when awaited',
    [
      ...['', 'p50 us', 'p99 us', 'of the floor', '64 at once: records/s', '64 in one batch'],
      ...['100,000: million/s', 'into a new log', 'flushes', 'journal commits', 'KiB written'],
    ],
    rows.map((row) => [
      row.log.name,
      ...microseconds(row.single),
      `${number(ratio(row.single, lowest.single))}x`,
      rate(row.together, AT_ONCE),
      rate(row.batch, AT_ONCE),
      rate(row.bulk, BULK, 1e6),
      rate(intoNew.get(row.log) ?? [], BULK, 1e6),
      ...costs(row.cost),
    ]),
  );
}

type Of = (name: Name) => Measured | undefined;

function hopsOf(of: Of): Hops {
  const [awaited, blocking] = [of('floorAwaited')?.single, of('floorInJavaScript')?.single];
  return {
    inNode: awaited && blocking && hopInNode(awaited, blocking),
    warm: of('hop')?.single,
    handed: of('handed')?.single,
    awaited,
  };
}

function sayHop(name: string, hop: Rounds | undefined): void {
  if (hop === undefined) return;
  const [low, mid, high] = [0.25, 0.5, 0.75].map((part) =>
    number(quantile(hop.flat(), part) * 1000),
  );
  note(`${name}: ${mid ?? ''} us (half of them from ${low ?? ''} to ${high ?? ''})`);
}

/** What is demanded of each of ours. */
function judge(of: Of, lowest: Measured, hops: Hops): void {
  judgeCounters(of('floor'), of('growing'));
  const [rival, atBest] = [of('hiqlite'), of('hiqliteAtBest')];
  for (const name of ['rustPwrite', 'rustMmap'] as const) {
    const own = of(name);
    if (own === undefined) continue;
    judgeCost(own, name === 'rustPwrite');
    judgeRates(own);
    if (rival !== undefined) judgeRival(own, rival);
    if (atBest !== undefined) judgeRivalAtBest(own, atBest);
  }
  for (const name of ['appendPwrite', 'appendMmap'] as const) {
    const own = of(name);
    if (own === undefined) continue;
    judgeCost(own, name === 'appendPwrite');
    judgeAwaited(own, lowest.single, hops);
    judgeRates(own);
  }
  for (const name of ['appendSyncPwrite', 'appendSyncMmap'] as const) {
    const own = of(name);
    if (own === undefined) continue;
    judgeCost(own, name === 'appendSyncPwrite');
    judgeBlocking(own, lowest);
    if (atBest !== undefined) judgeRivalInRust(own, atBest);
  }
}

async function append(directory: string, image: Image | undefined): Promise<void> {
  const found = await open(directory);
  const logs = Object.values(found);
  const measured = await measure(logs, image);
  const of: Of = (name) => {
    const log = found[name];
    return log && measured(log);
  };
  const lowest = of('floor') ?? of('floorInJavaScript');
  for (const log of logs) await log.close();
  if (lowest === undefined) throw new Error('there is no floor to compare with');
  const bulky = (Object.keys(found) as Name[]).filter((name) => found[name]?.bulk !== undefined);
  const intoNew = await bulkIntoNew(
    bulky.map((name) => MAKERS[name]),
    directory,
  );
  const roundsOfNew = new Map(
    bulky.map((name, index) => [found[name] as Log, intoNew[index] ?? []]),
  );
  print(
    logs.filter((log) => log !== found.hop).map((log) => measured(log)),
    lowest,
    roundsOfNew,
  );
  const hops = hopsOf(of);
  sayHop("one hop between JavaScript's thread and another", hops.inNode);
  sayHop('one hop between two warm threads', hops.warm);
  judge(of, lowest, hops);
}

/** Appends, and what they cost the device. */
export async function wal(directory: string): Promise<void> {
  await onImage(directory, append);
}
