// Random operations against a plain array: whatever is appended, truncated, purged, read and opened
// again, in whatever order, the log is what the array is.
import { Buffer } from 'node:buffer';
import path from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { type Entry, Wal, type WalOptions } from '../index.ts';
import { seed } from './support/random.ts';
import { tempDir } from './support/temp-dir.ts';
import { SMALL, listedIn } from './support/wals.ts';

/** What a log holds: its first LSN, the digests of its entries, its hard state. */
interface Model {
  first: bigint;
  entries: string[];
  hardState: string | null;
}

/** A record: its size and the byte that it is made of. */
type Drawn = readonly [size: number, byte: number];

type Change =
  | { readonly do: 'append' | 'tryAppend' | 'appendSync'; readonly record: Drawn }
  | {
      readonly do: 'appendMany';
      readonly records: readonly Drawn[];
      /** How far what is expected lies from what is so; null for no expectation. */
      readonly expect: number | null;
      readonly hardState: Drawn | null | undefined;
    }
  | { readonly do: 'truncate' | 'purge'; readonly at: number }
  | { readonly do: 'setHardState'; readonly state: Drawn | null };

type Look =
  | { readonly do: 'read'; readonly at: number }
  | { readonly do: 'readRange'; readonly at: number; readonly length: number; readonly max: number }
  | { readonly do: 'iterate'; readonly at: number; readonly max: number }
  | { readonly do: 'wait' | 'reopen' | 'check' };

type Command = Change | Look;

const LOOKS: readonly string[] = ['read', 'readRange', 'iterate', 'check', 'reopen', 'wait'];
const isLook = (command: Command): command is Look => LOOKS.includes(command.do);

const anySize = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 300 }) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 6000 }) },
);
const anyRecord = fc.tuple(anySize, fc.integer({ min: 0, max: 255 }));
const anyState = fc.option(fc.tuple(fc.integer({ min: 0, max: 2048 }), fc.nat(255)));
/** Where, in the log and a little beyond both of its ends: from -0.2 to 1.2 of its length. */
const anyPlace = fc.double({ min: -0.2, max: 1.2, noNaN: true });
const anyMax = fc.constantFrom(1, 500, 10_000, 1_000_000);

const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('append' as const, 'tryAppend' as const, 'appendSync' as const),
      record: anyRecord,
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('appendMany' as const),
      records: fc.array(anyRecord, { minLength: 1, maxLength: 40, size: 'max' }),
      expect: fc.option(fc.constantFrom(0, 0, 0, -1, 1)),
      hardState: fc.oneof(fc.constant(undefined), anyState),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('truncate' as const, 'purge' as const, 'read' as const),
      at: anyPlace,
    }),
  },
  fc.record({
    do: fc.constant('readRange' as const),
    at: anyPlace,
    length: fc.nat(60),
    max: anyMax,
  }),
  fc.record({ do: fc.constant('setHardState' as const), state: anyState }),
  fc.record({ do: fc.constant('iterate' as const), at: anyPlace, max: anyMax }),
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('wait', 'reopen', 'check') }) },
);

const digest = (data: Uint8Array): string => {
  const uniform = data.every((byte) => byte === data[0]);
  return uniform ? `${data.length} x ${data[0] ?? ''}` : `${data.length} of several`;
};
const digestOf = ([size, byte]: Drawn): string => `${size} x ${size === 0 ? '' : byte}`;
const bytesOf = ([size, byte]: Drawn): Uint8Array => Buffer.alloc(size, byte);
const shown = (entries: readonly Entry[]): string[] =>
  entries.map(({ lsn, data }) => `${lsn}: ${digest(data)}`);

const lastOf = ({ first, entries }: Model): bigint => first + BigInt(entries.length) - 1n;

/** The LSN at a place, which may be none of the log's. */
function lsnAt(model: Model, place: number, lowest: bigint): bigint {
  const lsn = model.first + BigInt(Math.round(place * model.entries.length));
  return lsn < lowest ? lowest : lsn;
}

/** The entries of a range, up to a number of bytes but at least one. */
function range(model: Model, from: bigint, to: bigint, max: number): string[] {
  const found: string[] = [];
  let size = 0;
  for (let lsn = from; lsn <= to && lsn <= lastOf(model); lsn += 1n) {
    const entry = model.entries[Number(lsn - model.first)] ?? 'nothing';
    size += parseInt(entry, 10);
    if (size > max && found.length > 0) break;
    found.push(`${lsn}: ${entry}`);
  }
  return found;
}

/** Why an LSN cannot be read, if so. */
function unreadable(model: Model, lsn: bigint): string | undefined {
  if (lsn < model.first) return 'TIDEMARK_EXPIRED';
  return lsn > lastOf(model) ? 'TIDEMARK_NOT_FOUND' : undefined;
}

/** What a segment of 32 KiB has room for beside its header, link, reserve and seal. */
const FRAME_BYTES_MAX = 32 * 1024 - 5 * 4096;

/** Size of the frame of a batch: docs/format/segment.md. */
function frameBytes(records: readonly Drawn[], state: Drawn | null | undefined): number {
  const all = [...records, ...(state ? [state] : [])];
  return all.reduce((size, [bytes]) => size + 8 + bytes, 64);
}

/** Changes the model; what the call comes to. */
function changed(model: Model, command: Change): unknown {
  switch (command.do) {
    case 'append':
    case 'tryAppend':
    case 'appendSync':
      model.entries.push(digestOf(command.record));
      return lastOf(model);
    case 'appendMany': {
      if (frameBytes(command.records, command.hardState) > FRAME_BYTES_MAX) {
        return 'TIDEMARK_TOO_LARGE';
      }
      const first = lastOf(model) + 1n;
      // An expectation of LSN 0 is a mistake, and not one that is looked for here.
      const off =
        command.expect !== null && command.expect !== 0 && first + BigInt(command.expect) > 0n;
      if (off) return 'TIDEMARK_CONFLICT';
      model.entries.push(...command.records.map(digestOf));
      const { hardState } = command;
      if (hardState !== undefined) model.hardState = hardState && digestOf(hardState);
      return { first, last: lastOf(model) };
    }
    case 'setHardState':
      model.hardState = command.state && digestOf(command.state);
      return undefined;
    case 'truncate': {
      const after = lsnAt(model, command.at, 0n);
      if (after > lastOf(model)) return 'TIDEMARK_NOT_FOUND';
      if (after + 1n < model.first) return 'TIDEMARK_EXPIRED';
      model.entries.length = Number(after + 1n - model.first);
      return undefined;
    }
    case 'purge': {
      const before = lsnAt(model, command.at, 1n);
      if (before > model.first) {
        model.entries.splice(0, Number(before - model.first));
        model.first = before;
      }
      return undefined;
    }
  }
}

/** Hands a change to the log, at the places that the model had before it. */
async function change(wal: Wal, model: Model, command: Change): Promise<unknown> {
  switch (command.do) {
    case 'append':
      return wal.append(bytesOf(command.record));
    case 'tryAppend':
      return wal.tryAppend(bytesOf(command.record));
    case 'appendSync':
      return wal.appendSync(bytesOf(command.record));
    case 'appendMany': {
      const { expect, hardState } = command;
      const expected = lastOf(model) + 1n + BigInt(expect ?? 0);
      return wal.appendMany(command.records.map(bytesOf), {
        ...(expect === null || expected === 0n ? {} : { expect: expected }),
        ...(hardState === undefined ? {} : { hardState: hardState && bytesOf(hardState) }),
      });
    }
    case 'setHardState':
      return wal.setHardState(command.state && bytesOf(command.state));
    case 'truncate':
      return wal.truncate({ after: lsnAt(model, command.at, 0n) });
    case 'purge':
      return wal.purge({ before: lsnAt(model, command.at, 1n) });
  }
}

function same(what: string, found: unknown, expected: unknown): void {
  if (fc.stringify(found) === fc.stringify(expected)) return;
  throw new Error(`${what}: ${fc.stringify(found)} instead of ${fc.stringify(expected)}`);
}

const outcome = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((error: unknown) => (error as { code?: string }).code ?? error);

/** Reads something; nothing is on its way. */
async function look(wal: Wal, model: Model, command: Look): Promise<void> {
  switch (command.do) {
    case 'read': {
      const lsn = lsnAt(model, command.at, 1n);
      const expected = unreadable(model, lsn) ?? range(model, lsn, lsn, 1);
      const read = wal.read(lsn).then((entry) => shown([entry]));
      same(`read ${lsn}`, await outcome(read), expected);
      break;
    }
    case 'readRange': {
      const from = lsnAt(model, command.at, 1n);
      const to = from + BigInt(command.length);
      const expected = unreadable(model, from) ?? range(model, from, to, command.max);
      const read = wal.readRange({ from, to, maxBytes: command.max }).then(shown);
      same(`range ${from} to ${to}, ${command.max} bytes`, await outcome(read), expected);
      break;
    }
    case 'iterate': {
      const from = lsnAt(model, command.at, 1n);
      const rest = range(model, from, lastOf(model), Infinity);
      const expected = from < model.first ? 'TIDEMARK_EXPIRED' : rest;
      const read = listedIn(wal, { from, maxBytes: command.max }).then(shown);
      same(`iterate from ${from}`, await outcome(read), expected);
      break;
    }
    case 'check':
    case 'reopen':
    case 'wait': {
      const hardState = wal.hardState === null ? null : digest(wal.hardState);
      same('hard state', hardState, model.hardState);
      same(
        'ends',
        [wal.firstLsn, wal.lastLsn, wal.durableLsn],
        [model.first, lastOf(model), lastOf(model)],
      );
      const rest = range(model, model.first, lastOf(model), Infinity);
      same('everything', shown(await listedIn(wal)), rest);
    }
  }
}

async function agrees(
  directory: string,
  options: WalOptions,
  commands: readonly Command[],
): Promise<void> {
  let wal = await Wal.open(directory, options);
  const model: Model = { first: 1n, entries: [], hardState: null };
  let pending: [string, Promise<unknown>, unknown][] = [];
  const settle = async (): Promise<void> => {
    for (const [what, call, expected] of pending) same(what, await call, expected);
    pending = [];
  };
  try {
    for (const command of commands) {
      if (!isLook(command)) {
        const call = outcome(change(wal, model, command));
        pending.push([command.do, call, changed(model, command)]);
        continue;
      }
      await settle();
      if (command.do === 'reopen') {
        await wal.close();
        wal = await Wal.open(directory, options);
        same('closed', wal.recovery.wasClosed, true);
      }
      await look(wal, model, command);
    }
    await settle();
    await look(wal, model, { do: 'check' });
  } finally {
    await wal.close();
  }
}

for (const io of ['pwrite', 'mmap'] as const) {
  test(`${io}: random operations, many pending at once, agree with an array`, async (t) => {
    const directory = tempDir(t);
    let round = 0;
    const options: WalOptions = { ...SMALL, io };
    const property = fc.asyncProperty(fc.array(anyCommand, { maxLength: 60, size: 'max' }), (all) =>
      agrees(path.join(directory, String((round += 1))), options, all),
    );
    await t.notThrowsAsync(fc.assert(property, { seed, numRuns: 40, endOnFailure: false }));
  });
}
