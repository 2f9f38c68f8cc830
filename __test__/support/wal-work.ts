// Work for a log that is drawn at random, and what the log must hold after each part of it.
import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { Wal } from '../../index.ts';
import type { Random } from './random.ts';

/** What a log holds: its first LSN, the one that comes next; digests of hard state and entries. */
export interface Held {
  readonly first: bigint | number;
  readonly next: bigint | number;
  readonly hardState: string | null;
  readonly entries: readonly string[];
}

/** The digest of bytes. */
export const hash = (of: Uint8Array | string): string =>
  createHash('sha256').update(of).digest('hex').slice(0, 16);

/** The same in a few words. */
export function digestOf({ first, next, hardState, entries }: Held): string {
  return [first, next, hardState ?? 'none', hash(entries.join())].join(' ');
}

/** What the reader of the addon finds, durable or written. */
export async function heldBy(wal: Wal, visibility: 'durable' | 'written'): Promise<Held> {
  const entries: string[] = [];
  for await (const some of wal.iterate({ visibility })) {
    entries.push(...some.map(({ data }) => hash(data)));
  }
  const last = visibility === 'durable' ? wal.durableLsn : wal.lastLsn;
  const hardState = wal.hardState === null ? null : hash(wal.hardState);
  return { first: wal.firstLsn, next: last + 1n, hardState, entries };
}

/** How a log is worked with. */
export interface WorkOptions {
  /** Bytes of the largest record. */
  readonly recordBytesMax: number;
  /** Entries that it has at most, about: then it is purged. */
  readonly entriesMax: number;
}

/** Draws changes, and keeps what a log must hold that they are made to. */
export class Work {
  readonly #random: Random;
  readonly #options: WorkOptions;
  #first = 1n;
  #entries: string[] = [];
  #hardState: string | null = null;
  /** How often each kind of change was drawn. */
  readonly drawn: Map<string, number> = new Map<string, number>();

  constructor(random: Random, options: WorkOptions) {
    [this.#random, this.#options] = [random, options];
  }

  /** What the log must hold. */
  get held(): Held {
    const next = this.#first + BigInt(this.#entries.length);
    const entries = this.#entries.slice();
    return { first: this.#first, next, hardState: this.#hardState, entries };
  }

  /** Goes on from what a log was found to hold. */
  adopt({ first, entries, hardState }: Held): void {
    [this.#first, this.#entries, this.#hardState] = [BigInt(first), [...entries], hardState];
  }

  /** Draws a change, keeps what comes of it, and returns the call that makes it. */
  draw(): (wal: Wal) => Promise<unknown> {
    const below = (bound: number): number => this.#random.below(bound);
    const kind = below(20);
    if (this.#entries.length > this.#options.entriesMax) return this.#purge(below(20) === 0);
    if (kind < 10) return this.#append();
    if (kind < 14) return this.#appendMany();
    if (kind < 16) return this.#setHardState();
    if (kind < 18) return this.#truncate();
    return kind < 19 ? this.#purge(false) : this.#sync();
  }

  /** Fills so many bytes and gives up all there is, so many times; what is filled last stays. */
  async turnOver(wal: Wal, bytes: number, times: number): Promise<void> {
    for (let turn = 0; turn <= times; turn += 1) {
      const size = Math.min(this.#options.recordBytesMax, bytes);
      for (let done = 0; done < bytes; done += size) {
        const record = Buffer.alloc(size, `${turn} ${done} `);
        this.#entries.push(hash(record));
        await wal.append(record, { sync: 'immediate' });
      }
      if (turn < times) await this.#giveUp(this.#entries.length)(wal);
    }
  }

  #count(kind: string): void {
    this.drawn.set(kind, (this.drawn.get(kind) ?? 0) + 1);
  }

  /** A record: mostly small ones, empty ones and those of many blocks among them. */
  #record(bytesMax: number = this.#options.recordBytesMax): Buffer {
    const bound = this.#random.pick([1, 2, 100, 100, 600, 5000, bytesMax + 1]);
    const size = this.#random.below(Math.min(bound, bytesMax + 1));
    if (size === 0) this.#count('empty record');
    if (size > 2 * 4096) this.#count('record of several blocks');
    const record = Buffer.alloc(size, `${this.#random.below(2 ** 30)} `);
    this.#entries.push(hash(record));
    return record;
  }

  #append(): (wal: Wal) => Promise<unknown> {
    this.#count('append');
    const record = this.#record();
    const isSynced = this.#random.below(4) === 0;
    return (wal) => wal.append(record, isSynced ? { sync: 'immediate' } : {});
  }

  #appendMany(): (wal: Wal) => Promise<unknown> {
    this.#count('appendMany');
    const count = 1 + this.#random.below(20);
    const expect = this.held.next as bigint;
    const bytesMax = Math.floor(this.#options.recordBytesMax / (count + 1));
    const records = Array.from({ length: count }, () => this.#record(bytesMax));
    const hardState = this.#random.below(3) === 0 ? this.#state() : undefined;
    if (hardState === undefined) return (wal) => wal.appendMany(records, { expect });
    return (wal) => wal.appendMany(records, { expect, hardState });
  }

  #setHardState(): (wal: Wal) => Promise<unknown> {
    const state = this.#state();
    return (wal) => wal.setHardState(state);
  }

  #state(): Buffer | null {
    const isNone = this.#random.below(3) === 0;
    this.#count(isNone ? 'no hard state' : 'hard state');
    const size = this.#random.pick([0, 1, 40, 2048]);
    const state = isNone ? null : Buffer.alloc(size, `${this.#random.below(2 ** 30)} `);
    this.#hardState = state === null ? null : hash(state);
    return state;
  }

  #truncate(): (wal: Wal) => Promise<unknown> {
    this.#count('truncate');
    const kept = Math.max(this.#entries.length - this.#random.below(30), 0);
    this.#entries.length = kept;
    const after = this.#first + BigInt(kept) - 1n;
    return (wal) => wal.truncate({ after });
  }

  #purge(isBeyond: boolean): (wal: Wal) => Promise<unknown> {
    this.#count(isBeyond ? 'purge beyond the end' : 'purge');
    const { length } = this.#entries;
    const count = isBeyond ? length + 1 + this.#random.below(1000) : this.#random.below(length + 1);
    return this.#giveUp(count);
  }

  #giveUp(count: number): (wal: Wal) => Promise<unknown> {
    this.#first += BigInt(count);
    this.#entries.splice(0, count);
    const before = this.#first;
    return (wal) => wal.purge({ before });
  }

  #sync(): (wal: Wal) => Promise<unknown> {
    this.#count('sync');
    return (wal) => wal.sync();
  }
}
