// Written by `npm run build:api`: the public types. A difference is a change of the API.
import type { EventEmitter } from 'node:events';

export interface Checkpoint {
  readonly lastCommittedSequence: bigint;
  readonly lastEventId: string | null;
}

export interface CheckpointInput {
  readonly lastCommittedSequence: bigint | number;
  readonly lastEventId?: string | null;
}

export interface CheckpointStore extends AsyncDisposable {
  readonly durability: Durability;
  readonly recovery: RecoveryReport;
  readonly size: number;
  get(
    key: ResumeKey,
    options?: {
      readonly fresh?: boolean;
      readonly signal?: AbortSignal;
    },
  ): Promise<Checkpoint | undefined>;
  getSync(key: ResumeKey): Checkpoint | undefined;
  put(
    key: ResumeKey,
    checkpoint: CheckpointInput,
    options?: {
      readonly signal?: AbortSignal;
    },
  ): Promise<PutResult>;
  tryPut(key: ResumeKey, checkpoint: CheckpointInput): Promise<PutResult> | null;
  putMany(
    entries: Iterable<readonly [ResumeKey, CheckpointInput]>,
    options?: {
      readonly signal?: AbortSignal;
    },
  ): Promise<PutResult[]>;
  putSync(key: ResumeKey, checkpoint: CheckpointInput): PutResult;
  delete(
    key: ResumeKey,
    options?: {
      readonly ifSequence?: bigint | number;
      readonly signal?: AbortSignal;
    },
  ): Promise<DeleteOutcome>;
  prune(keep: (key: ResumeKey, checkpoint: Checkpoint) => boolean): Promise<number>;
  entries(options?: { readonly prefix?: string }): AsyncIterable<[ResumeKey, Checkpoint]>;
  refresh(options?: { readonly signal?: AbortSignal }): Promise<void>;
  metrics(): Metrics;
  on(event: 'regressed', listener: (...details: StoreEvents['regressed']) => void): this;
  on(event: 'quarantined', listener: (...details: StoreEvents['quarantined']) => void): this;
  on(event: 'poisoned', listener: (...details: StoreEvents['poisoned']) => void): this;
  on(event: 'slowSync', listener: (...details: StoreEvents['slowSync']) => void): this;
  on(event: keyof StoreEvents, listener: () => void): this;
  off(event: 'regressed', listener: (...details: StoreEvents['regressed']) => void): this;
  off(event: 'quarantined', listener: (...details: StoreEvents['quarantined']) => void): this;
  off(event: 'poisoned', listener: (...details: StoreEvents['poisoned']) => void): this;
  off(event: 'slowSync', listener: (...details: StoreEvents['slowSync']) => void): this;
  off(event: keyof StoreEvents, listener: () => void): this;
  close(): Promise<void>;
  closeSync(): void;
}

export type DeleteOutcome = 'deleted' | 'absent' | 'superseded';

export type Durability = 'proven' | 'unproven' | 'none';

export interface Entry {
  readonly lsn: bigint;
  readonly data: Uint8Array;
}

export type ErrorCode =
  | 'TIDEMARK_INVALID_ARGUMENT'
  | 'TIDEMARK_LOCKED'
  | 'TIDEMARK_LOCK_TIMEOUT'
  | 'TIDEMARK_CLOSED'
  | 'TIDEMARK_CORRUPT'
  | 'TIDEMARK_DECODE'
  | 'TIDEMARK_UNSUPPORTED_FILE_VERSION'
  | 'TIDEMARK_UNSUPPORTED_KEY_FORMAT_VERSION'
  | 'TIDEMARK_INVALID_RESUME_KEY'
  | 'TIDEMARK_TOO_LARGE'
  | 'TIDEMARK_NO_SPACE'
  | 'TIDEMARK_IO'
  | 'TIDEMARK_POISONED'
  | 'TIDEMARK_EXPIRED'
  | 'TIDEMARK_CONFLICT'
  | 'TIDEMARK_NOT_FOUND'
  | 'TIDEMARK_UNSUPPORTED'
  | 'TIDEMARK_ADDON_NOT_FOUND'
  | 'TIDEMARK_INTERNAL';

export interface ErrorDetails {
  readonly path?: string;
  readonly offset?: bigint;
  readonly sequence?: bigint;
  readonly errno?: number;
  readonly syscall?: string;
  readonly holder?: number;
  readonly indeterminate?: true;
}

export declare class FileLock implements AsyncDisposable {
  private constructor();
  static acquire(path: string, options?: FileLockOptions): Promise<FileLock>;
  static tryAcquire(path: string, options?: FileLockTryOptions): FileLock | null;
  release(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface FileLockOptions extends FileLockTryOptions {
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface FileLockTryOptions {
  readonly mode?: 'exclusive' | 'shared';
  readonly allowNetworkFs?: boolean;
}

export declare class JsonFileStore extends NativeCheckpointStore {
  static open(path: string, options?: JsonFileStoreOptions): Promise<JsonFileStore>;
}

export interface JsonFileStoreOptions {
  readonly lockTimeoutMs?: number;
  readonly mode?: number;
  readonly recover?: 'refuse' | 'quarantine';
  readonly exitDrainMs?: number;
  readonly allowNetworkFs?: boolean;
  readonly signal?: AbortSignal;
}

export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly JsonValue[]
  | {
      readonly [name: string]: JsonValue | undefined;
    };

export interface LatencySummary {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export declare class MemoryStore extends NativeCheckpointStore {
  static open(): Promise<MemoryStore>;
}

export type Metrics = Readonly<Record<string, bigint | number | LatencySummary>>;

export interface PutResult {
  readonly applied: boolean;
  readonly current: Checkpoint;
}

export interface RecoveryReport {
  readonly quarantined: readonly string[];
}

export declare class ResumeKey {
  readonly hex: string;
  readonly name?: string;
  private constructor();
  static named(name: string): ResumeKey;
  static fromHex(hex: string): ResumeKey;
  static derive(source: ResumeKeySource): ResumeKey;
  equals(other: unknown): boolean;
  toString(): string;
  toJSON(): string;
}

export interface ResumeKeySource {
  readonly baseUrl: string | URL;
  readonly eventType: string;
  readonly filter: JsonValue;
  readonly schemaFingerprint?: string;
}

export interface StoreEvents {
  regressed: [
    {
      key: ResumeKey;
      from: Checkpoint;
      to: Checkpoint | undefined;
    },
  ];
  quarantined: [
    {
      path: string;
      quarantine: string;
    },
  ];
  poisoned: [error: TidemarkError];
  slowSync: [
    {
      durationMs: number;
    },
  ];
}

export declare class TidemarkError extends Error implements ErrorDetails {
  readonly name: string;
  readonly code: ErrorCode;
  readonly path?: string;
  readonly offset?: bigint;
  readonly sequence?: bigint;
  readonly errno?: number;
  readonly syscall?: string;
  readonly holder?: number;
  readonly indeterminate?: true;
  constructor(code: ErrorCode, message: string, details?: ErrorDetails & ErrorOptions);
}

export declare class Wal extends EventEmitter<WalEvents> implements AsyncDisposable {
  private constructor();
  static open(directory: string, options?: WalOptions): Promise<Wal>;
  get durability(): Durability;
  get recovery(): WalRecoveryReport;
  get firstLsn(): bigint;
  get lastLsn(): bigint;
  get durableLsn(): bigint;
  get hardState(): Uint8Array | null;
  append(record: Uint8Array, options?: WalAppendOptions): Promise<bigint>;
  tryAppend(
    record: Uint8Array,
    options?: {
      readonly sync?: WalCallSync;
    },
  ): Promise<bigint> | null;
  appendSync(record: Uint8Array): bigint;
  appendMany(
    records: Iterable<Uint8Array>,
    options?: WalAppendManyOptions,
  ): Promise<{
    first: bigint;
    last: bigint;
  }>;
  read(
    lsn: bigint | number,
    options?: {
      readonly visibility?: WalVisibility;
    },
  ): Promise<Entry>;
  readRange(range: WalRange): Promise<Entry[]>;
  iterate(options?: WalIterateOptions): WalLoop;
  truncate(to: { readonly after: bigint | number }): Promise<void>;
  purge(to: { readonly before: bigint | number }): Promise<void>;
  setHardState(state: Uint8Array | null): Promise<void>;
  sync(): Promise<bigint>;
  metrics(): Metrics;
  close(): Promise<void>;
  closeSync(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface WalAppendManyOptions extends WalAppendOptions {
  readonly expect?: bigint | number;
  readonly hardState?: Uint8Array | null;
}

export interface WalAppendOptions {
  readonly sync?: WalCallSync;
  readonly signal?: AbortSignal;
}

export type WalCallSync = 'immediate' | 'immediate_async';

export interface WalEvents {
  quarantined: [
    {
      path: string;
      quarantine: string;
    },
  ];
  poisoned: [error: TidemarkError];
  noSpace: [error: TidemarkError];
  slowSync: [
    {
      durationMs: number;
    },
  ];
}

export interface WalIterateOptions {
  readonly from?: bigint | number;
  readonly follow?: boolean;
  readonly maxBytes?: number;
  readonly visibility?: WalVisibility;
  readonly signal?: AbortSignal;
}

export interface WalLoop extends AsyncIterableIterator<Entry[], undefined>, AsyncDisposable {
  return(): Promise<IteratorResult<Entry[], undefined>>;
  [Symbol.asyncIterator](): WalLoop;
}

export interface WalOptions {
  readonly sync?: WalSync;
  readonly io?: 'pwrite' | 'mmap';
  readonly segmentBytes?: number;
  readonly maxRecordBytes?: number;
  readonly recovery?: 'tail' | 'strict';
  readonly readOnly?: boolean;
  readonly maxInFlightBytes?: number;
  readonly exitDrainMs?: number;
  readonly allowNetworkFs?: boolean;
  readonly signal?: AbortSignal;
}

export interface WalRange {
  readonly from: bigint | number;
  readonly to?: bigint | number;
  readonly maxBytes?: number;
  readonly visibility?: WalVisibility;
}

export interface WalRecoveryReport extends RecoveryReport {
  readonly wasClosed: boolean;
  readonly scannedBytes: number;
  readonly copiedBytes: number;
  readonly cutBytes: number;
  readonly provenLast?: bigint;
}

export type WalSync = 'immediate' | 'immediate_async' | `interval_${number}`;

export type WalVisibility = 'durable' | 'written';

export interface WriteFileAtomicOptions {
  readonly mode?: number;
  readonly durable?: boolean;
  readonly signal?: AbortSignal;
}

export declare function isTidemarkError(value: unknown): value is (
  TidemarkError | TypeError | RangeError
) & {
  readonly code: ErrorCode;
};

export declare function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options?: WriteFileAtomicOptions,
): Promise<void>;

// Not exported.

declare abstract class NativeCheckpointStore
  extends EventEmitter<StoreEvents>
  implements CheckpointStore
{
  protected constructor();
  get durability(): Durability;
  get recovery(): RecoveryReport;
  get size(): number;
  get(
    key: ResumeKey,
    options?: {
      readonly fresh?: boolean;
      readonly signal?: AbortSignal;
    },
  ): Promise<Checkpoint | undefined>;
  getSync(key: ResumeKey): Checkpoint | undefined;
  put(
    key: ResumeKey,
    checkpoint: CheckpointInput,
    options?: {
      readonly signal?: AbortSignal;
    },
  ): Promise<PutResult>;
  tryPut(key: ResumeKey, checkpoint: CheckpointInput): Promise<PutResult> | null;
  putMany(
    entries: Iterable<readonly [ResumeKey, CheckpointInput]>,
    options?: {
      readonly signal?: AbortSignal;
    },
  ): Promise<PutResult[]>;
  putSync(key: ResumeKey, checkpoint: CheckpointInput): PutResult;
  delete(
    key: ResumeKey,
    options?: {
      readonly ifSequence?: bigint | number;
      readonly signal?: AbortSignal;
    },
  ): Promise<DeleteOutcome>;
  prune(keep: (key: ResumeKey, checkpoint: Checkpoint) => boolean): Promise<number>;
  entries(options?: {
    readonly prefix?: string;
  }): AsyncGenerator<[ResumeKey, Checkpoint], void, undefined>;
  refresh(options?: { readonly signal?: AbortSignal }): Promise<void>;
  metrics(): Metrics;
  close(): Promise<void>;
  closeSync(): void;
  [Symbol.asyncDispose](): Promise<void>;
}
