// Rounds of the bench of a log, by turns, and what each log came to.
import fs from 'node:fs';
import path from 'node:path';
import type { Cost, Image } from './image.ts';
import type { Log } from './logs.ts';
import { type Measure, type Rounds, alternate } from './rounds.ts';

export const AT_ONCE = 64;
export const BULK = 100_000;
/** Of 20 appends each. The disk changes from one to the next: of 75 the ratios differed by 4 %. */
const SINGLE_ROUNDS = 300;
/** So many commit groups between two readings of the counters. */
const COUNTED = 1000;
/** Lots at once before the first that counts: what runs for a while was compiled by then. */
const WARM_UP = 100;
/** Rounds of a bulk into a new log; each needs the room of all of them. */
const NEW_LOGS = 5;

/** What came out for one log. Rounds are empty for what it cannot do. */
export interface Measured {
  readonly log: Log;
  /** The time of each append. */
  readonly single: Rounds;
  /** The time of each lot of {@link AT_ONCE}: with an answer each, and with one for all. */
  readonly together: Rounds;
  readonly batch: Rounds;
  /** The time of each lot of {@link BULK}, in a log that gives up each of them. */
  readonly bulk: Rounds;
  readonly cost: Cost | undefined;
}

export type MakeLog = (directory: string) => Promise<Log>;

/** The rounds of each who has any, by turns. */
async function byTurns(
  logs: readonly Log[],
  measureOf: (log: Log) => Measure | undefined,
  count: number,
): Promise<(log: Log) => Rounds> {
  const measures = new Map<Log, Measure>();
  for (const log of logs) {
    const measure = measureOf(log);
    if (measure !== undefined) measures.set(log, measure);
  }
  const rounds = await alternate([...measures.values()], count);
  const taken = new Map([...measures.keys()].map((log, index) => [log, rounds[index] ?? []]));
  return (log) => taken.get(log) ?? [];
}

/** A large lot, and then it is given up, outside of the time. */
function bulkOf(log: Log): Measure | undefined {
  if (log.bulk === undefined) return undefined;
  return async () => {
    const took = (await log.bulk?.(1, BULK)) ?? [];
    await log.purge?.();
    return took;
  };
}

/** What each commit group costs the device, one log after the other. */
async function counts(image: Image, logs: readonly Log[]): Promise<ReadonlyMap<Log, Cost>> {
  const taken = new Map<Log, Cost>();
  for (const log of logs) taken.set(log, await image.count(COUNTED, () => log.single(COUNTED)));
  return taken;
}

/** Measures open logs beside each other. */
export async function measure(
  logs: readonly Log[],
  image: Image | undefined,
): Promise<(log: Log) => Measured> {
  const single = await byTurns(logs, (log) => () => log.single(20), SINGLE_ROUNDS);
  // Before anybody has written much at once: a map whose pages came in large pieces is written back
  // in such pieces ever after, and hiqlite-wal would show a hundred times the bytes.
  const cost = image === undefined ? undefined : await counts(image, logs);
  const lot = (log: Log): Measure | undefined =>
    log.together === undefined ? undefined : () => log.together?.(1, AT_ONCE) ?? [];
  for (const log of logs) await log.together?.(WARM_UP, AT_ONCE);
  const together = await byTurns(logs, lot, 20);
  const inOneGo = (log: Log): Measure | undefined =>
    log.bulk === undefined ? undefined : () => log.bulk?.(1, AT_ONCE) ?? [];
  const batch = await byTurns(logs, inOneGo, 20);
  const bulk = await byTurns(logs, bulkOf, 5);
  return (log) => ({
    log,
    single: single(log),
    together: together(log),
    batch: batch(log),
    bulk: bulk(log),
    cost: cost?.get(log),
  });
}

/** Bulks into new logs, by turns; each is closed and removed before the next one is made. */
export async function bulkIntoNew(
  makers: readonly MakeLog[],
  directory: string,
): Promise<readonly Rounds[]> {
  const measureOf = (make: MakeLog) => async (): Promise<number[]> => {
    const own = fs.mkdtempSync(path.join(directory, 'new-'));
    const log = await make(own);
    try {
      return (await log.bulk?.(1, BULK)) ?? [];
    } finally {
      await log.close();
      fs.rmSync(own, { recursive: true });
    }
  };
  return alternate(makers.map(measureOf), NEW_LOGS);
}
