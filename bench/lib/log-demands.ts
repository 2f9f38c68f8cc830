// What is demanded of a log, beside what came out.
import { AT_ONCE, BULK, type Measured } from './measured-logs.ts';
import { demand, leftOut, note, number } from './report.ts';
import { type Rounds, median, quantile, ratio } from './rounds.ts';

const isMeasured = (rounds: Rounds): boolean => rounds.length > 0;

/** Records per second. */
export const perSecond = (rounds: Rounds, records: number): number =>
  (records * 1000) / median(rounds.flat());

/** The rounds of one, each longer by what the other's round took. */
const plus = (rounds: Rounds, by: Rounds): Rounds =>
  rounds.map((round, index) => round.map((took) => took + median(by[index] ?? [])));

const atMost = (what: string, limit: number, is: number): void => {
  demand(`${what} at most ${limit}x`, `${number(is)}x`, is <= limit);
};

const atLeast = (what: string, limit: number, is: number): void => {
  demand(`${what} at least ${limit}x`, `${number(is)}x`, is >= limit);
};

/** The counters are believed if they show what is known of these two. */
export function judgeCounters(of: Measured | undefined, grown: Measured | undefined): void {
  if (of?.cost === undefined || grown?.cost === undefined) return;
  const near = (value: number, to: number): boolean => Math.abs(value - to) <= 0.02;
  const say = ({ cost }: Measured): string =>
    `${cost?.flushes.toFixed(2) ?? ''} and ${cost?.journalCommits.toFixed(2) ?? ''}`;
  const one = near(of.cost.flushes, 1) && near(of.cost.journalCommits, 0);
  demand('the counters: 1 flush and 0 commits of the journal for the floor', say(of), one);
  const two = near(grown.cost.flushes, 2) && near(grown.cost.journalCommits, 1);
  demand('the counters: 2 flushes and 1 commit for the control', say(grown), two);
}

/** What each of our logs costs the device. A block more than 4 KiB is one write too many. */
export function judgeCost({ log: { name }, cost }: Measured, writesBlocks: boolean): void {
  if (cost === undefined) return;
  const { flushes, journalCommits, bytes } = cost;
  const is = `${flushes.toFixed(2)} and ${journalCommits.toFixed(2)}`;
  const met = flushes.toFixed(2) === '1.00' && journalCommits <= 0.01;
  demand(`${name}: exactly 1.00 flush and at most 0.01 commits for each group`, is, met);
  if (!writesBlocks) return;
  const kib = bytes / 1024;
  demand(`${name}: at most 4 KiB for a lone append`, `${number(kib)} KiB`, kib <= 4);
}

/**
 * One hop between JavaScript's thread and another: half of what it takes Node longer to await a
 * sync than to block for it. Both have slept for as long as the disk took.
 */
export const hopInNode = (awaited: Rounds, blocking: Rounds): Rounds =>
  awaited.map((round, index) => [Math.max(0, (median(round) - median(blocking[index] ?? [])) / 2)]);

/** What an append that is awaited is compared with beside the floor. */
export interface Hops {
  /** One hop between JavaScript's thread and another. */
  readonly inNode: Rounds | undefined;
  /** One hop between two threads in Rust that never slept. */
  readonly warm: Rounds | undefined;
  /** The floor in Rust with two hops. */
  readonly handed: Rounds | undefined;
  /** The floor in Node with two hops. */
  readonly awaited: Rounds | undefined;
}

/** An append that is awaited, against the floor and one hop. */
export function judgeAwaited(own: Measured, lowest: Rounds, hops: Hops): void {
  const { name } = own.log;
  const { inNode, warm, handed, awaited } = hops;
  // Two readings of one hop: the strict one, and the one that an awaited append makes.
  const allowed: readonly (readonly [string, Rounds | undefined])[] = [
    ['the floor and one hop', warm && plus(lowest, warm)],
    ['the floor in another thread', handed],
    ["the floor and one hop to JavaScript's thread", inNode && plus(lowest, inNode)],
  ];
  for (const [what, than] of allowed) {
    if (than === undefined) leftOut(`${name}: p50 of ${what}`, 'that was not measured');
    else atMost(`${name}: p50 of ${what}`, 1.25, ratio(own.single, than));
  }
  if (awaited !== undefined) {
    // Not demanded: the least that anybody can await in Node.
    note(`${name}: ${number(ratio(own.single, awaited))}x of what Node itself takes (p50)`);
  }
}

/** An append that blocks, against what it cannot go below. */
export function judgeBlocking(own: Measured, lowest: Measured): void {
  atMost(`${own.log.name}: p50 of the floor`, 1.2, ratio(own.single, lowest.single));
}

/** Many at once, and many in one go. */
export function judgeRates(own: Measured): void {
  const { name } = own.log;
  if (isMeasured(own.together)) {
    const gain = perSecond(own.together, AT_ONCE) / perSecond(own.single, 1);
    atLeast(`${name}: 64 at once, the rate of one by one`, 20, gain);
  }
  if (isMeasured(own.bulk)) {
    const millions = perSecond(own.bulk, BULK) / 1e6;
    const what = `${name}: ${number(BULK)} records in one go at least 1.0 million per second`;
    demand(what, `${number(millions)} million`, millions >= 1);
  }
}

/** Ours in Rust against the other log, which is in Rust as well, each as its users call it. */
export function judgeRival(own: Measured, rival: Measured): void {
  const what = `${own.log.name} against hiqlite-wal`;
  atMost(`${what}: p50 of an append`, 0.85, ratio(own.single, rival.single));
}

/** The same against its best case. */
export function judgeRivalAtBest(own: Measured, rival: Measured): void {
  const what = `${own.log.name} against the best case of hiqlite-wal`;
  atMost(`${what}: p50 of an append`, 0.85, ratio(own.single, rival.single));
  const rate = perSecond(own.together, AT_ONCE) / perSecond(rival.together, AT_ONCE);
  atLeast(`${what}: the rate of 64 at once`, 8, rate);
  atLeast(`${what}: the rate of 100,000 in one go`, 2.5, ratio(rival.bulk, own.bulk));
}

/** Ours from JavaScript against the other log from Rust. */
export function judgeRivalInRust(own: Measured, rival: Measured): void {
  const what = `${own.log.name} against the best case of hiqlite-wal from Rust: p50 of an append`;
  atMost(what, 1, ratio(own.single, rival.single));
}

/** Opening what is large, and how much memory that takes. */
export function judgeOpen(name: string, opened: Rounds, small?: number, large?: number): void {
  const p50 = quantile(opened.flat(), 0.5);
  demand(`${name}: 4 GiB open in at most 100 ms`, `${number(p50)} ms`, p50 <= 100);
  if (small === undefined || large === undefined) return;
  const more = (large - small) / 2 ** 20;
  const what = `${name}: 4 GiB open in the memory of 64 MiB (1 MiB more at most)`;
  demand(what, `${more.toFixed(1)} MiB more`, more <= 1);
}

/** Following from another process: what is durable cannot be seen before the sync. */
export function judgeFollowing(visibility: string, seen: Rounds, lowest?: Rounds): void {
  const own = median(seen.flat()) - (lowest === undefined ? 0 : median(lowest.flat()));
  const beyond = lowest === undefined ? '' : ' beyond the floor';
  const what = `a follower in another process, ${visibility}: wakes within 5 ms${beyond} (p50)`;
  demand(what, `${number(own)} ms`, own <= 5);
}
