// What the core writes is read by the reader in Python, which was written from
// docs/format/segment.md alone: it must find what the reader of the addon finds, in logs that were
// closed, beside a living writer, after SIGKILL, and behind a torn tail.
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Wal, type WalOptions, isTidemarkError } from '../index.ts';
import { start } from './support/child.ts';
import {
  type Holding,
  type Refused,
  type Told,
  told,
  toldBeside,
} from './support/python-reader.ts';
import { Random, seed } from './support/random.ts';
import { tempDir } from './support/temp-dir.ts';
import { until } from './support/wait.ts';
import { Work, digestOf, hash, heldBy } from './support/wal-work.ts';
import { SMALL, newLog, segmentsOf } from './support/wals.ts';

const IOS = ['pwrite', 'mmap'] as const;
/** Changes of a log that is closed, those handed over at once, and where it is looked at. */
const [CHANGES, BURST, LOOK_EACH] = [600, 8, 200];
/** Bytes of several small segments. */
const TURNED_OVER = 4 * 32 * 1024;
/** Kills of one log, torn copies of what each leaves, and when it comes. */
const [KILLS, TORN, DONE_MAX] = [2, 4, 40];
/** How often Python looks at a log that is written to meanwhile. */
const LOOKS = 10;
const [SECTOR, BLOCK] = [512, 4096];

/** What a log must hold, as the reader says it. */
function said(holding: Holding | Refused | undefined): string {
  if (holding === undefined) return 'nothing';
  if ('error' in holding) return holding.error;
  const { first, next, hardState, entries } = holding;
  const digest = (hex: string): string => hash(Buffer.from(hex, 'hex'));
  return digestOf({
    ...{ first, next, hardState: hardState === null ? null : digest(hardState) },
    entries: entries.map(digest),
  });
}

/** Why Python refuses a log, or what it holds. */
function whyOf({ why, proven, recovered }: Told): string {
  const whys = [proven, recovered].map((it) => (it !== undefined && 'why' in it ? it.why : ''));
  return [why ?? '', ...whys, `SEED=${seed}`].join(' ').trim();
}

/** Opens a log, closes it, and says what it held, or why not, and whether a tail was cut off. */
async function found(directory: string, options: WalOptions): Promise<[string, boolean]> {
  try {
    const wal = await Wal.open(directory, options);
    try {
      return [digestOf(await heldBy(wal, 'durable')), wal.recovery.cutBytes > 0];
    } finally {
      await wal.close();
    }
  } catch (error) {
    if (!isTidemarkError(error)) throw error;
    return [error.code, false];
  }
}

/** What the addon's reader finds where nobody writes. */
async function readOnly(directory: string, options: WalOptions): Promise<string> {
  const [held] = await found(directory, { ...options, readOnly: true });
  return held;
}

/** Python sees of a log whose writer lives, with nothing on its way, what the writer sees. */
async function looksBeside(
  t: ExecutionContext,
  { wal, work, directory }: { wal: Wal; work: Work; directory: string },
): Promise<void> {
  const expected = digestOf(work.held);
  if (wal.durableLsn < wal.lastLsn) {
    const durable = digestOf(await heldBy(wal, 'durable'));
    const seen = await toldBeside(directory);
    t.is(said(seen?.written), expected, `SEED=${seed}`);
    // A sync may come in between, but for the level of an hour.
    t.true([durable, expected].includes(said(seen?.durable)), `SEED=${seed}`);
  }
  await wal.sync();
  const seen = await toldBeside(directory);
  t.deepEqual([said(seen?.durable), said(seen?.written)], [expected, expected], `SEED=${seed}`);
  t.is(digestOf(await heldBy(wal, 'durable')), expected, `SEED=${seed}`);
  t.is(seen?.poisoned, false);
}

/** Works with a log, opens it anew in between, looks at it from beside, and closes it. */
async function worked(
  t: ExecutionContext,
  options: WalOptions,
  recordBytesMax: number,
  changes: number,
): Promise<{ work: Work; directory: string; numbers: number }> {
  const work = new Work(new Random(seed), { recordBytesMax, entriesMax: 150 });
  const directory = newLog(t);
  let wal = await Wal.open(directory, options);
  const numbers = new Set<string>();
  for (let done = 0; done < changes; done += BURST) {
    await Promise.all(Array.from({ length: BURST }, () => work.draw()(wal)));
    for (const name of segmentsOf(directory)) numbers.add(name);
    if (done % LOOK_EACH === 0) await looksBeside(t, { wal, work, directory });
    if (done % LOOK_EACH !== LOOK_EACH / 2) continue;
    await wal.close();
    wal = await Wal.open(directory, options);
  }
  await looksBeside(t, { wal, work, directory });
  // Whatever was drawn: in the end there are files that have had another life. Until the log is
  // closed they may still be on their way into it.
  await work.turnOver(wal, TURNED_OVER, 2);
  await wal.close();
  return { work, directory, numbers: numbers.size };
}

/** Python finds in a log that was closed what the addon's reader does, and what it must hold. */
async function readsClosed(
  t: ExecutionContext,
  directories: readonly string[],
  options: WalOptions,
  expected: readonly string[],
): Promise<Told[]> {
  const pictures = await told(directories);
  for (const [index, directory] of directories.entries()) {
    const picture = pictures[index] ?? { error: 'nothing was told' };
    const because = `${picture.why ?? ''} SEED=${seed}`;
    t.like(picture, { error: null, closed: true, tornTail: false }, because);
    const held = [said(picture.proven), said(picture.recovered)];
    held.push(await readOnly(directory, options));
    t.deepEqual([...new Set(held)], [expected[index] ?? ''], because);
  }
  return pictures;
}

for (const io of IOS) {
  for (const sync of ['immediate', 'immediate_async', 'interval_3600000'] as const) {
    test(`Python reads a log beside its writer, and then closed: ${io}, ${sync}`, async (t) => {
      const options = { ...SMALL, io, sync };
      const { work, directory, numbers } = await worked(t, options, 11_000, CHANGES);
      const [picture] = await readsClosed(t, [directory], options, [digestOf(work.held)]);
      const kinds = ['append', 'appendMany', 'truncate', 'purge', 'sync', 'hard state'];
      kinds.push('no hard state', 'empty record', 'record of several blocks');
      for (const kind of kinds) t.true((work.drawn.get(kind) ?? 0) > 0, `${kind}, SEED=${seed}`);
      t.true(numbers >= 10, `it was rolled: ${numbers} segments, SEED=${seed}`);
      const recycled = picture?.segments?.filter(([, , lives]) => lives > 0).length ?? 0;
      t.true(recycled > 0, `some segments are recycled, SEED=${seed}`);
    });
  }

  test(`Python reads records of many blocks in larger segments: ${io}`, async (t) => {
    const options: WalOptions = { segmentBytes: 2 ** 20, io };
    const { work, directory, numbers } = await worked(t, options, 1_000_000, 120);
    await readsClosed(t, [directory], options, [digestOf(work.held)]);
    t.true(numbers >= 3, `${numbers} segments, SEED=${seed}`);
  });
}

/** Whether something stands where the first frame of a segment does. */
const isBegun = (file: string): boolean =>
  readFileSync(file)
    .subarray(BLOCK, BLOCK + 64)
    .some((byte) => byte > 0);

/**
 * Turns a sector behind the proven end of a log into what a power cut might leave; at times one
 * before it in the last segment that is written, as only a bad medium does.
 */
function tear(directory: string, { provenEnd }: Told, random: Random): void {
  const [number, proven] = provenEnd ?? [1, 0];
  const next = `${(number + 1).toString(16).padStart(8, '0')}.segment`;
  const isLast = !segmentsOf(directory).includes(next) || !isBegun(path.join(directory, next));
  const from = isLast && random.below(4) === 0 ? BLOCK : proven;
  const file = path.join(directory, `${number.toString(16).padStart(8, '0')}.segment`);
  const content = readFileSync(file);
  let end = content.length - BLOCK;
  // Not beyond what was written, or most would be torn where nothing is.
  while (end > from && content[end - 1] === 0) end -= 1;
  const sectors = Math.max(Math.ceil(end / SECTOR) - Math.floor(from / SECTOR), 1);
  const at = (Math.floor(from / SECTOR) + random.below(sectors)) * SECTOR;
  const torn = content.subarray(Math.max(at, from), at + SECTOR);
  const isZero = random.below(3) > 0;
  for (let byte = 0; byte < torn.length; byte += 1) torn[byte] = isZero ? 0 : random.below(256);
  writeFileSync(file, content);
}

/** What Python and the addon make of these logs, first to read and then to write. */
async function agree(
  t: ExecutionContext,
  directories: readonly string[],
  options: WalOptions,
): Promise<Told[]> {
  const pictures = await told(directories);
  const [recovered, holding]: [string[], string[]] = [[], []];
  for (const [index, directory] of directories.entries()) {
    const picture = pictures[index] ?? { error: 'nothing was told' };
    const what = whyOf(picture);
    t.is(picture.error ?? said(picture.proven), await readOnly(directory, options), what);
    const expected = picture.error ?? said(picture.recovered);
    // A purge that was synced but not yet proven may be what was torn: its segments are gone then,
    // and from a log that is refused nothing is cut off.
    const isRefused = expected.startsWith('TIDEMARK_');
    const cuts = !isRefused && picture.tornTail === true;
    t.deepEqual([expected, cuts], await found(directory, options), what);
    if (isRefused) continue;
    recovered.push(directory);
    holding.push(expected);
  }
  await readsClosed(t, recovered, options, holding);
  return pictures;
}

/** A process that works with a log until it is killed, and what it has said. */
function working(
  t: ExecutionContext,
  directory: string,
  options: WalOptions,
  random: Random,
): { readonly lines: () => string[]; readonly kill: () => Promise<void> } {
  const file = path.join(tempDir(t), 'said');
  const args = [directory, JSON.stringify(options), String(random.below(2 ** 31)), file];
  const child = start(t, 'wal-work-child.ts', args);
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const exited = once(child, 'close');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    const [, signal] = (await exited) as [number | null, string | null];
    t.is(signal, 'SIGKILL', errors);
  };
  const lines = (): string[] =>
    existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : [];
  return { lines, kill };
}

/** The states that lines name: those that were acknowledged, and those that were to come. */
const statesOf = (lines: readonly string[]): string[] =>
  lines.flatMap((line) => line.replace(/^\w+ /, '').split(','));

const isDone = (line: string): boolean => line.startsWith('done ');

/** Works with a log in a process that is killed in the middle; what it may hold. */
async function killed(
  t: ExecutionContext,
  directory: string,
  options: WalOptions,
  random: Random,
): Promise<string[]> {
  const { lines, kill } = working(t, directory, options, random);
  const wanted = 1 + random.below(DONE_MAX);
  await until(() => lines().filter(isDone).length > wanted, 'the child has worked');
  await kill();
  // The last state that was acknowledged, and those of the calls that were not.
  return statesOf(lines().slice(lines().findLastIndex(isDone)));
}

for (const io of IOS) {
  test(`Python sees beside a busy writer what was durable at some moment: ${io}`, async (t) => {
    const directory = newLog(t);
    const { lines, kill } = working(t, directory, { ...SMALL, io }, new Random(seed));
    await until(() => lines().some(isDone), 'the log is open');
    const seen: { found: string; after: number }[] = [];
    for (let look = 0; look < LOOKS; look += 1) {
      const after = lines().findLastIndex(isDone);
      seen.push({ found: said((await toldBeside(directory))?.durable), after });
    }
    await kill();
    t.is(await toldBeside(directory), null, 'its words mean nothing without it');
    for (const { found, after } of seen) {
      // Not older than what was acknowledged before it looked.
      t.true(statesOf(lines().slice(after)).includes(found), `${found} SEED=${seed}`);
    }
    t.true(new Set(seen.map(({ found }) => found)).size > 1, 'it was busy');
  });
}

const torn = new Map<string, number>();

for (const io of IOS) {
  for (const sync of ['immediate', 'immediate_async', 'interval_3600000'] as const) {
    test(`Python and the addon agree on what SIGKILL leaves: ${io}, ${sync}`, async (t) => {
      const [random, options] = [new Random(seed), { ...SMALL, io, sync }];
      const directory = newLog(t);
      for (let round = 0; round < KILLS; round += 1) {
        const states = await killed(t, directory, options, random);
        const [left] = await told([directory]);
        t.true(
          states.includes(left?.error ?? said(left?.recovered)),
          `${said(left?.recovered)} is one of ${states.join()} SEED=${seed}`,
        );
        const copies = tempDir(t);
        const names = Array.from({ length: TORN }, (_, index) => path.join(copies, String(index)));
        for (const name of names) {
          cpSync(directory, name, { recursive: true });
          tear(name, left ?? { error: null }, random);
        }
        for (const { error, tornTail } of await agree(t, names, options)) {
          const what = error ?? (tornTail === true ? 'torn' : 'whole');
          torn.set(what, (torn.get(what) ?? 0) + 1);
        }
        await agree(t, [directory], options);
      }
    });
  }
}

test.after((t) => {
  t.log(`torn copies: ${JSON.stringify([...torn])}`);
});
