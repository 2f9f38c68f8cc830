// How a log is opened and called: the options, and what is refused of them.
import type { WalOptions as NativeOptions } from '#binding';
import type { RecoveryReport } from './checkpoint-store.ts';
import { rangeError, typeError } from './errors.ts';
import * as validate from './validate.ts';
import { atMost, copyOf } from './wal-records.ts';

/**
 * When an append is reported, and when it is synced.
 *
 * - `immediate`: it is reported once it is on the medium, and a power cut cannot take it back.
 * - `immediate_async`: it is reported once it is written, which a killed process survives; a sync
 *   follows at once.
 * - `interval_<milliseconds>`: it is reported once it is written; a sync starts so many
 *   milliseconds (1 to 86,400,000) after the oldest byte that is not synced, or earlier.
 */
export type WalSync = 'immediate' | 'immediate_async' | `interval_${number}`;

/** The level of one call, instead of the log's own. */
export type WalCallSync = 'immediate' | 'immediate_async';

/**
 * Which entries a reader sees: `durable`, those that a power cut cannot take back; `written`, also
 * those whose sync is to come.
 */
export type WalVisibility = 'durable' | 'written';

/** How to open a {@link Wal}. All handles on one log in a process have the same options. */
export interface WalOptions {
  /** When appends are reported and synced: `immediate` unless given. */
  readonly sync?: WalSync;
  /** How segments are read and written: `pwrite` unless given, or `mmap`, except on Windows. */
  readonly io?: 'pwrite' | 'mmap';
  /** Size of new segments in bytes: a multiple of 4,096 from 32,768; 16 MiB unless given. */
  readonly segmentBytes?: number;
  /** Size of the largest record in bytes: what a segment has room for, at most 16 MiB. */
  readonly maxRecordBytes?: number;
  /**
   * What to do with a torn tail, bytes that were written, never acknowledged as durable and are
   * not whole: move it into quarantine (`tail`, unless given), or refuse to open (`strict`).
   */
  readonly recovery?: 'tail' | 'strict';
  /**
   * Whether to read only: beside the process that writes, or on a read-only mount. False. Where no
   * process writes, it serves what is proven, and {@link WalRecoveryReport.provenLast} says up to
   * where.
   */
  readonly readOnly?: boolean;
  /** Bytes that may be on their way before calls wait for room: 64 MiB. */
  readonly maxInFlightBytes?: number;
  /** How long the end of the process waits for what was accepted, in milliseconds: 1,000. */
  readonly exitDrainMs?: number;
  /** Whether to open on a file system whose locks and syncs may not reach the disk: false. */
  readonly allowNetworkFs?: boolean;
  /** Gives up opening. */
  readonly signal?: AbortSignal;
}

/** How to append one record. */
export interface WalAppendOptions {
  /** The level of this call, instead of the log's own. */
  readonly sync?: WalCallSync;
  /** Gives up while the append has not begun. */
  readonly signal?: AbortSignal;
}

/** How to append a list of records, which is atomic. */
export interface WalAppendManyOptions extends WalAppendOptions {
  /** The LSN that the first record must get; the call rejects if it would get another. */
  readonly expect?: bigint | number;
  /** A new hard state (at most 2,048 bytes) or none (`null`), in one step with the records. */
  readonly hardState?: Uint8Array | null;
}

/** Which entries to read. */
export interface WalRange {
  /** The first LSN, from 1. */
  readonly from: bigint | number;
  /** The last LSN, which is read too; the end of the log unless given. */
  readonly to?: bigint | number;
  /** Bytes of records to read at most, but at least one record: 16 MiB. */
  readonly maxBytes?: number;
  /** `durable` unless given. */
  readonly visibility?: WalVisibility;
}

/** How to read a log on and on. */
export interface WalIterateOptions {
  /** The first LSN, from 1; the first one that was not purged unless given. */
  readonly from?: bigint | number;
  /** Whether to wait for what is to come instead of ending at the end of the log: false. */
  readonly follow?: boolean;
  /** Bytes of records in one array at most, but at least one record: 1 MiB. */
  readonly maxBytes?: number;
  /** `durable` unless given. */
  readonly visibility?: WalVisibility;
  /** Ends the loop: it rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What opening a log found and mended. */
export interface WalRecoveryReport extends RecoveryReport {
  /** Whether the log had been closed: there was nothing to mend. */
  readonly wasClosed: boolean;
  /** Bytes that were read to find the end. */
  readonly scannedBytes: number;
  /** Bytes that were valid but not proven to be on the medium, and were written again. */
  readonly copiedBytes: number;
  /** Bytes of a torn tail that were cut off; {@link RecoveryReport.quarantined} has them. */
  readonly cutBytes: number;
  /** For a reader without a writer: the last LSN that is proven, beyond which it sees nothing. */
  readonly provenLast?: bigint;
}

const OPTIONS = [
  ...(['sync', 'io', 'segmentBytes', 'maxRecordBytes', 'recovery', 'readOnly'] as const),
  ...(['maxInFlightBytes', 'exitDrainMs', 'allowNetworkFs', 'signal'] as const),
] as const;

const BLOCK_BYTES = 4096;
const SEGMENT_BYTES = { min: 32 * 1024, max: 2 ** 32 - BLOCK_BYTES, otherwise: 16 * 1024 * 1024 };
const HARD_STATE_BYTES_MAX = 2048;
const INTERVAL_MS_MAX = 24 * 60 * 60 * 1000;

/** Checks the options of a log and completes them. */
export function checkOptions(given: unknown): {
  options: NativeOptions;
  signal: AbortSignal | undefined;
} {
  const known = validate.options<WalOptions>(given, 'the options', OPTIONS);
  const { maxRecordBytes } = known;
  validate.integer(maxRecordBytes, 'maxRecordBytes', { min: 1, otherwise: 1 });
  const segmentBytes = validate.integer(known.segmentBytes, 'segmentBytes', SEGMENT_BYTES);
  if (segmentBytes % BLOCK_BYTES !== 0) {
    throw rangeError(`segmentBytes must be a multiple of ${BLOCK_BYTES}, not ${segmentBytes}`);
  }
  const room = { min: 1, otherwise: 64 * 1024 * 1024 };
  const options = {
    sync: checkSync(known.sync),
    mapped: validate.word(known.io, 'io', ['pwrite', 'mmap']) === 'mmap',
    segmentBytes,
    ...(maxRecordBytes === undefined ? {} : { maxRecordBytes }),
    strict: validate.word(known.recovery, 'recovery', ['tail', 'strict']) === 'strict',
    readOnly: validate.flag(known.readOnly, 'readOnly', false),
    maxInFlightBytes: validate.integer(known.maxInFlightBytes, 'maxInFlightBytes', room),
    exitDrainMs: validate.integer(known.exitDrainMs, 'exitDrainMs', { otherwise: 1000 }),
    allowNetworkFs: validate.flag(known.allowNetworkFs, 'allowNetworkFs', false),
  };
  return { options, signal: validate.signal(known.signal) };
}

function checkSync(value: unknown): string {
  if (value === undefined) return 'immediate';
  const forms = "'immediate', 'immediate_async' or 'interval_<milliseconds>'";
  if (typeof value !== 'string') throw typeError(`sync must be ${forms}`);
  if (value === 'immediate' || value === 'immediate_async') return value;
  const digits = /^interval_([1-9]\d*)$/.exec(value)?.[1];
  if (digits === undefined || Number(digits) > INTERVAL_MS_MAX) {
    throw rangeError(`sync must be ${forms}, of 1 to ${INTERVAL_MS_MAX}`);
  }
  return value;
}

const CALL_SYNCS = ['immediate', 'immediate_async'] as const;

/** The level of one call, as the binding has it. */
export function callSync(value: unknown): number {
  return value === undefined ? 0 : 1 + CALL_SYNCS.indexOf(validate.word(value, 'sync', CALL_SYNCS));
}

/** Whether a reader sees what is written and not durable. */
export function seesWritten(value: unknown): boolean {
  return validate.word(value, 'visibility', ['durable', 'written']) === 'written';
}

/** A hard state, copied: its owner may change it while the call waits for room. */
export function hardState(value: unknown): Uint8Array | undefined {
  if (value === null) return undefined;
  const bytes = validate.bytes(value, 'the hard state');
  atMost(bytes, HARD_STATE_BYTES_MAX);
  return copyOf(bytes);
}
