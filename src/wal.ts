import { EventEmitter } from 'node:events';
import { setImmediate } from 'node:timers';
import type { Failure } from '#binding';
import type { Durability, Metrics } from './checkpoint-store.ts';
import { rangeError, unwrap } from './errors.ts';
import { type Settlement, payloadOf } from './hub.ts';
import { native } from './native.ts';
import { type OpenWal, openWal } from './open-wal.ts';
import { bindToThread } from './thread-bound.ts';
import * as validate from './validate.ts';
import type { WalEvents } from './wal-events.ts';
import { WalIterator, type WalLoop } from './wal-iterator.ts';
import {
  type WalAppendManyOptions,
  type WalAppendOptions,
  type WalCallSync,
  type WalIterateOptions,
  type WalOptions,
  type WalRange,
  type WalRecoveryReport,
  type WalVisibility,
  callSync,
  checkOptions,
  hardState,
  seesWritten,
} from './wal-options.ts';
import { type Entry, Packer, atMost, copyOf, unpackChunk } from './wal-records.ts';

const UINT64_MAX = 2n ** 64n - 1n;
const MIB = 1024 * 1024;

/**
 * A write-ahead log: records get consecutive numbers, LSNs, from 1. One process writes, any number
 * may read. Handles of one process, in whatever worker thread, share one log.
 *
 * Every promise of a change resolves when the change is durable, but those of appends when their
 * level says so ({@link WalSync}). Any method may reject with a TidemarkError code TIDEMARK_CLOSED
 * after close; those that change something with TIDEMARK_POISONED, TIDEMARK_UNSUPPORTED on a log
 * that was opened with `readOnly`, TIDEMARK_NO_SPACE and TIDEMARK_IO, the latter with
 * `indeterminate: true` if the outcome is unknown.
 *
 * @example
 * ```ts
 * const wal = await Wal.open('/var/lib/my-service/log');
 * const lsn = await wal.append(Buffer.from('first'));
 * for await (const entries of wal.iterate({ from: lsn })) {
 *   for (const { lsn, data } of entries) console.log(lsn, data);
 * }
 * await wal.close();
 * ```
 */
export class Wal extends EventEmitter<WalEvents> implements AsyncDisposable {
  readonly #log: OpenWal;
  /** What lies within one segment has fewer bytes than that. */
  readonly #bytesMax: number;
  readonly #packer: Packer;

  private constructor(token: symbol, log: OpenWal, bytesMax: number) {
    super();
    validate.calledByUs(token, 'Wal.open(directory)');
    bindToThread(this, 'a log');
    [this.#log, this.#bytesMax, this.#packer] = [log, bytesMax, new Packer(bytesMax)];
    log.tell(this);
  }

  /**
   * Opens the log in a directory, which is made if its parent exists.
   *
   * @param directory - The directory; nothing else of yours belongs into it.
   * @param options - How to open it.
   * @throws TypeError or RangeError code TIDEMARK_INVALID_ARGUMENT for a bad option or path;
   * TidemarkError code TIDEMARK_LOCKED while another process writes to it (`holder` is its id),
   * TIDEMARK_CONFLICT if it is open here with other options or is another kind of store's
   * directory, TIDEMARK_CORRUPT for damage below what is proven (and for a torn tail with
   * `recovery: 'strict'`), TIDEMARK_UNSUPPORTED_FILE_VERSION, TIDEMARK_UNSUPPORTED on a network
   * file system, TIDEMARK_POISONED if a handle on it in this process is, TIDEMARK_NO_SPACE,
   * TIDEMARK_IO.
   */
  static async open(directory: string, options?: WalOptions): Promise<Wal> {
    const path = validate.text(directory, 'the directory');
    const { options: checked, signal } = checkOptions(options);
    const log = await openWal(path, checked, signal);
    const wal = new Wal(validate.ours, log, checked.segmentBytes);
    for (const quarantine of wal.recovery.quarantined) {
      setImmediate(() => wal.emit('quarantined', { path, quarantine }));
    }
    return wal;
  }

  /** What an append that was acknowledged as durable survives. */
  get durability(): Durability {
    return this.#log.info.durability as Durability;
  }

  /** What opening found and mended. */
  get recovery(): WalRecoveryReport {
    const { wasClosed, scannedBytes, copiedBytes, cutBytes, quarantined, provenLast } =
      this.#log.info;
    const report = { wasClosed, scannedBytes, copiedBytes, cutBytes, quarantined };
    return provenLast === undefined ? report : { ...report, provenLast };
  }

  /** The first LSN that was not purged; 1 in an empty log. */
  get firstLsn(): bigint {
    return unwrap(native.walFirstLsn(this.#log.handle));
  }

  /**
   * The LSN of the last entry that is written; one less than the first in an empty log. In another
   * process than the writer's, as far as the log was followed: `read` looks further.
   *
   * @throws TidemarkError code TIDEMARK_CORRUPT if damage is in the way to what another process's
   * writer wrote.
   */
  get lastLsn(): bigint {
    return this.#lastLsn(true);
  }

  /** The LSN of the last entry that a power cut cannot take back. As for `lastLsn` otherwise. */
  get durableLsn(): bigint {
    return this.#lastLsn(false);
  }

  /** The hard state that is durable, or null. A copy. As for `lastLsn` otherwise. */
  get hardState(): Uint8Array | null {
    return unwrap(native.walHardState(this.#log.handle));
  }

  /**
   * Appends a record: resolves to its LSN when its level says so. Records of calls that overlap
   * share writes and syncs, in the order of the calls.
   *
   * @param record - Its bytes, which may be none; copied before the call returns.
   * @throws TypeError code TIDEMARK_INVALID_ARGUMENT; TidemarkError code TIDEMARK_TOO_LARGE for a
   * record over `maxRecordBytes`. An aborted call rejects with the signal's reason, and nothing was
   * appended.
   */
  async append(record: Uint8Array, options?: WalAppendOptions): Promise<bigint> {
    let bytes = this.#record(record);
    let [sync, signal]: [number, AbortSignal | undefined] = [0, undefined];
    if (options !== undefined) {
      validate.options(options, 'the options of append', ['sync', 'signal']);
      [sync, signal] = [callSync(options.sync), validate.signal(options.signal)];
    }
    const { handle } = this.#log;
    const submission = {
      handOver: (ticket: number) => native.walAppend(handle, ticket, bytes, sync),
      keep: () => void (bytes = copyOf(bytes)),
    };
    const [lsn] = payloadOf(await this.#log.submit(submission, signal));
    return lsn as bigint;
  }

  /** As {@link Wal.append}; null, and nothing done, if there is no room in the queue. */
  tryAppend(record: Uint8Array, options?: { readonly sync?: WalCallSync }): Promise<bigint> | null {
    let settled: Promise<Settlement> | null;
    try {
      const bytes = this.#record(record);
      const { sync } = validate.options<WalAppendOptions>(options, 'the options', ['sync']);
      const level = callSync(sync);
      const { handle } = this.#log;
      settled = this.#log.trySubmit((ticket) => native.walAppend(handle, ticket, bytes, level));
    } catch (error) {
      // Whoever asks for a promise hears of bad input through it.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      return Promise.reject(error);
    }
    return settled && firstLsnOf(settled);
  }

  /** As {@link Wal.append}, blocking: for exit handlers and tools, and the lowest latency. */
  appendSync(record: Uint8Array): bigint {
    const bytes = this.#record(record);
    return unwrap(native.walAppendSync(this.#log.handle, bytes));
  }

  /**
   * Appends several records in one atomic step: after a crash all of them are there, or none.
   * Resolves to the first and the last of their LSNs.
   *
   * @param records - At least one; copied before the call returns.
   * @throws TypeError or RangeError code TIDEMARK_INVALID_ARGUMENT; TidemarkError code
   * TIDEMARK_CONFLICT if the first would not get the LSN that is expected (`sequence` is the one
   * that it would get), TIDEMARK_TOO_LARGE for a record over `maxRecordBytes`, a hard state over
   * 2,048 bytes, or records that together have no room in one segment.
   */
  async appendMany(
    records: Iterable<Uint8Array>,
    options?: WalAppendManyOptions,
  ): Promise<{
    /** The LSN of the first record. */
    first: bigint;
    /** The LSN of the last record. */
    last: bigint;
  }> {
    const known = ['expect', 'hardState', 'sync', 'signal'] as const;
    const given = validate.options<WalAppendManyOptions>(options, 'the options', known);
    // Each of them once: what answers may be a getter.
    const { expect, hardState: becomes } = given;
    const state = becomes === undefined ? undefined : hardState(becomes);
    const batch = {
      ...(expect === undefined ? {} : { expect: validate.lsn(expect, 'expect') }),
      setsHardState: becomes !== undefined,
      ...(state === undefined ? {} : { hardState: state }),
    };
    const [sync, signal] = [callSync(given.sync), validate.signal(given.signal)];
    const plain = expect === undefined && !batch.setsHardState;
    let { bytes, sizes } = this.#packer.pack(records);
    const { handle } = this.#log;
    const submission = {
      handOver: (ticket: number): boolean | Failure =>
        native.walAppendMany(handle, ticket, bytes, sizes, sync, plain ? undefined : batch),
      keep: () => void ([bytes, sizes] = [bytes.slice(), sizes.slice()]),
    };
    const [first, last] = payloadOf(await this.#log.submit(submission, signal));
    return { first: first as bigint, last: last as bigint };
  }

  /**
   * The entry with an LSN.
   *
   * @throws TypeError or RangeError code TIDEMARK_INVALID_ARGUMENT; TidemarkError code
   * TIDEMARK_NOT_FOUND beyond the end (`sequence` is the last LSN), TIDEMARK_EXPIRED for what was
   * purged (`sequence` is the first LSN that is left), TIDEMARK_CORRUPT, TIDEMARK_IO.
   */
  async read(
    lsn: bigint | number,
    options?: { readonly visibility?: WalVisibility },
  ): Promise<Entry> {
    const at = validate.lsn(lsn, 'the LSN');
    const given = validate.options<WalRange>(options, 'the options of read', ['visibility']);
    const [entry] = await this.#read(at, at, 1, seesWritten(given.visibility));
    return entry as Entry;
  }

  /**
   * The entries of a range, both ends included, clipped at the end of the log: at most `maxBytes`
   * of them, and at least one.
   *
   * @throws As {@link Wal.read}, about the first LSN of the range.
   */
  async readRange(range: WalRange): Promise<Entry[]> {
    const known = ['from', 'to', 'maxBytes', 'visibility'] as const;
    const given = validate.options<WalRange>(range, 'the range', known);
    const from = validate.lsn(given.from, 'from');
    const to = given.to === undefined ? UINT64_MAX : validate.lsn(given.to, 'to');
    if (to < from) throw rangeError(`the range ends at LSN ${to}, before ${from}`);
    const bytes = { min: 1, otherwise: 16 * MIB };
    const maxBytes = validate.integer(given.maxBytes, 'maxBytes', bytes);
    return this.#read(from, to, maxBytes, seesWritten(given.visibility));
  }

  /**
   * Entries from an LSN on, in order, in arrays of at least one. It ends at the end of the log;
   * with `follow` it waits there for more, and keeps the process alive while it does. Leaving the
   * loop ends it; so does `return()`, while it waits too.
   *
   * The loop rejects with the signal's reason after an abort, and with a TidemarkError code
   * TIDEMARK_CLOSED when the log is closed, TIDEMARK_CONFLICT when what it had read was truncated,
   * TIDEMARK_EXPIRED when what it would read next was purged, TIDEMARK_POISONED, TIDEMARK_CORRUPT,
   * TIDEMARK_IO. It gives nothing more after that.
   *
   * @throws TypeError or RangeError code TIDEMARK_INVALID_ARGUMENT.
   */
  iterate(options?: WalIterateOptions): WalLoop {
    const known = ['from', 'follow', 'maxBytes', 'visibility', 'signal'] as const;
    const given = validate.options<WalIterateOptions>(options, 'the options of iterate', known);
    const from = given.from === undefined ? undefined : validate.lsn(given.from, 'from');
    const written = seesWritten(given.visibility);
    const bytes = { min: 1, otherwise: MIB };
    return new WalIterator({
      place: () => unwrap(native.walFollow(this.#log.handle, from ?? this.firstLsn, written)),
      maxBytes: validate.integer(given.maxBytes, 'maxBytes', bytes),
      follow: validate.flag(given.follow, 'follow', false),
      signal: validate.signal(given.signal),
    });
  }

  /**
   * Takes back every entry after an LSN, which stays; 0 takes back all. Resolves when that is
   * durable. The LSNs are used again.
   *
   * @throws TypeError or RangeError code TIDEMARK_INVALID_ARGUMENT; TidemarkError code
   * TIDEMARK_NOT_FOUND beyond the end, TIDEMARK_EXPIRED below the first LSN less one.
   */
  async truncate(to: { readonly after: bigint | number }): Promise<void> {
    const { after } = validate.options<typeof to>(to, 'the place to truncate', ['after']);
    const lsn = validate.uint64(after, 'after');
    const { handle } = this.#log;
    await this.#submit((ticket) => native.walTruncate(handle, ticket, lsn));
  }

  /**
   * Gives up every entry before an LSN, which stays. Resolves when that is durable. Files are freed
   * as a whole. Beyond the end the log is empty after it, and the next record gets that LSN.
   *
   * @throws TypeError or RangeError code TIDEMARK_INVALID_ARGUMENT.
   */
  async purge(to: { readonly before: bigint | number }): Promise<void> {
    const { before } = validate.options<typeof to>(to, 'the place to purge', ['before']);
    const lsn = validate.lsn(before, 'before');
    const { handle } = this.#log;
    await this.#submit((ticket) => native.walPurge(handle, ticket, lsn));
  }

  /**
   * Sets the hard state, or none: a few bytes beside the log, such as a Raft node's term and vote.
   * Resolves when it is durable.
   *
   * @param state - At most 2,048 bytes, or null; copied before the call returns.
   * @throws TypeError code TIDEMARK_INVALID_ARGUMENT; TidemarkError code TIDEMARK_TOO_LARGE.
   */
  async setHardState(state: Uint8Array | null): Promise<void> {
    const bytes = hardState(state);
    const { handle } = this.#log;
    await this.#submit((ticket) => native.walSetHardState(handle, ticket, bytes));
  }

  /** Resolves when everything appended before is durable, to the last LSN then. */
  async sync(): Promise<bigint> {
    const { handle } = this.#log;
    const [last] = await this.#submit((ticket) => native.walSync(handle, ticket));
    return last as bigint;
  }

  /**
   * What the log counts. `syncs` and `syncUs` are about the syncs of the segments that are written
   * to, each of them; not those of opening, of segments that are made ready, or of the directory.
   */
  metrics(): Metrics {
    return Object.freeze(native.walMetrics(this.#log.handle));
  }

  /**
   * Finishes what was accepted and closes; loops over the log end with TIDEMARK_CLOSED, and later
   * calls reject with it. The log's end is marked, so that opening it again has nothing to mend.
   */
  close(): Promise<void> {
    return this.#log.close();
  }

  /** As {@link Wal.close}, blocking. */
  closeSync(): void {
    this.#log.closeSync();
  }

  /** As {@link Wal.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A record, if some segment might have room for it. */
  #record(record: Uint8Array): Uint8Array {
    const bytes = validate.bytes(record, 'the record');
    atMost(bytes, this.#bytesMax);
    return bytes;
  }

  #lastLsn(written: boolean): bigint {
    return unwrap(native.walLastLsn(this.#log.handle, written));
  }

  async #submit(handOver: (ticket: number) => boolean | Failure): Promise<readonly unknown[]> {
    return payloadOf(await this.#log.submit({ handOver }));
  }

  /** From memory in this very call, else from the disk. */
  async #read(from: bigint, to: bigint, maxBytes: number, written: boolean): Promise<Entry[]> {
    const { handle } = this.#log;
    const hot = native.walReadHot(handle, from, to, maxBytes, written);
    if (hot !== undefined) return unpackChunk(unwrap(hot));
    const payload = await this.#log.run((ticket) => {
      native.walRead(handle, ticket, from, to, maxBytes, written);
    });
    return unpackChunk(payload);
  }
}

async function firstLsnOf(settled: Promise<Settlement>): Promise<bigint> {
  return payloadOf(await settled)[0] as bigint;
}
