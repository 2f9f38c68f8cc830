// The interface that every checkpoint store has.
import type { TidemarkError } from './errors.ts';
import type { ResumeKey } from './resume-key.ts';

/** How far a consumer has come. */
export interface Checkpoint {
  /** The sequence of the last event that was dealt with. */
  readonly lastCommittedSequence: bigint;
  /** The id of that event; diagnostic, never used to resume. */
  readonly lastEventId: string | null;
}

/** A checkpoint as a put takes it. */
export interface CheckpointInput {
  /** 0 to 2^64 - 1: a bigint, or a safe integer. */
  readonly lastCommittedSequence: bigint | number;
  /** At most 64 KiB of UTF-8; absent means null. */
  readonly lastEventId?: string | null;
}

/** What a put came to. */
export interface PutResult {
  /** Whether it changed anything: not if the store holds that sequence or a larger one. */
  readonly applied: boolean;
  /** What the store holds now. */
  readonly current: Checkpoint;
}

/** What a delete came to; `superseded` only with `ifSequence`. */
export type DeleteOutcome = 'deleted' | 'absent' | 'superseded';

/**
 * What an acknowledged write survives: `proven`, a killed process, a crash of the operating system
 * and a power cut; `unproven`, a killed process, and more only as far as the file system keeps
 * promises that it does not state; `none`, nothing, it is kept in memory.
 */
export type Durability = 'proven' | 'unproven' | 'none';

/** What was repaired since a store was opened. */
export interface RecoveryReport {
  /** Files that could not be decoded and were moved aside, by their new names. */
  readonly quarantined: readonly string[];
}

/** How long something takes, in microseconds. */
export interface LatencySummary {
  /** Number of measurements. */
  readonly count: number;
  /** The median. */
  readonly p50: number;
  /** The 99th percentile. */
  readonly p99: number;
  /** The longest. */
  readonly max: number;
}

/** The figures of a store: counters are bigints, gauges numbers. The keys are API. */
export type Metrics = Readonly<Record<string, bigint | number | LatencySummary>>;

/** What a store tells without being asked. */
export interface StoreEvents {
  /** Another process deleted a checkpoint or set it back since this one last saw it. */
  regressed: [
    {
      /** Whose checkpoint it is, without a name. */
      key: ResumeKey;
      /** What this process knew. */
      from: Checkpoint;
      /** What the disk holds; undefined if it was deleted. */
      to: Checkpoint | undefined;
    },
  ];
  /** A file that could not be decoded was moved aside. */
  quarantined: [
    {
      /** Where it was. */
      path: string;
      /** Where it is now. */
      quarantine: string;
    },
  ];
  /** The outcome of a write is unknown; the store takes nothing more until opened again. */
  poisoned: [error: TidemarkError];
  /** The medium took longer than a second to sync. */
  slowSync: [
    {
      /** How long it took, in milliseconds. */
      durationMs: number;
    },
  ];
}

/**
 * Checkpoints by key. A sequence never goes back within one life of its key; what is acknowledged
 * is durable, as far as {@link CheckpointStore.durability} says.
 */
export interface CheckpointStore extends AsyncDisposable {
  /** What an acknowledged write survives. */
  readonly durability: Durability;
  /** What was repaired since the store was opened. */
  readonly recovery: RecoveryReport;
  /**
   * Number of checkpoints that this process knows.
   *
   * @throws TidemarkError code TIDEMARK_CLOSED.
   */
  readonly size: number;

  /**
   * The checkpoint of a key, as this process knows it; with `fresh`, as the disk holds it.
   *
   * @throws TidemarkError code TIDEMARK_CLOSED; with `fresh` also TIDEMARK_POISONED, TIDEMARK_IO,
   * TIDEMARK_DECODE and what else a file's content deserves.
   */
  get(
    key: ResumeKey,
    options?: { readonly fresh?: boolean; readonly signal?: AbortSignal },
  ): Promise<Checkpoint | undefined>;

  /**
   * The checkpoint of a key, as this process knows it. Touches no disk.
   *
   * @throws TypeError code TIDEMARK_INVALID_ARGUMENT; TidemarkError code TIDEMARK_CLOSED.
   */
  getSync(key: ResumeKey): Checkpoint | undefined;

  /**
   * Stores a checkpoint if its sequence is larger than the one that is there.
   *
   * Resolves when the result is durable. An aborted put rejects with the signal's reason and did
   * nothing; one that is in a commit already resolves normally.
   *
   * @throws TypeError or RangeError code TIDEMARK_INVALID_ARGUMENT for bad input; TidemarkError
   * code TIDEMARK_CLOSED, TIDEMARK_LOCK_TIMEOUT, TIDEMARK_NO_SPACE, TIDEMARK_IO (with
   * `indeterminate: true` if the outcome is unknown), TIDEMARK_POISONED, TIDEMARK_TOO_LARGE.
   */
  put(
    key: ResumeKey,
    checkpoint: CheckpointInput,
    options?: { readonly signal?: AbortSignal },
  ): Promise<PutResult>;

  /**
   * As {@link CheckpointStore.put}; null, and nothing done, if there is no room in the queue. It
   * does not throw: bad input, too, rejects the promise.
   */
  tryPut(key: ResumeKey, checkpoint: CheckpointInput): Promise<PutResult> | null;

  /**
   * Puts several in one atomic commit, judged in order. Resolves, when all of it is durable, to one
   * result for each, in the same order.
   *
   * @throws As {@link CheckpointStore.put}; then none of them is done.
   */
  putMany(
    entries: Iterable<readonly [ResumeKey, CheckpointInput]>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<PutResult[]>;

  /**
   * As {@link CheckpointStore.put}, blocking: for exit handlers and command-line tools. It returns
   * when the result is durable.
   *
   * @throws As {@link CheckpointStore.put}.
   */
  putSync(key: ResumeKey, checkpoint: CheckpointInput): PutResult;

  /**
   * Deletes a checkpoint; after that any sequence may be put. With `ifSequence`, only if the store
   * holds that sequence or a smaller one. Resolves when the outcome is durable.
   *
   * @throws As {@link CheckpointStore.put}, about the key and `ifSequence`.
   */
  delete(
    key: ResumeKey,
    options?: { readonly ifSequence?: bigint | number; readonly signal?: AbortSignal },
  ): Promise<DeleteOutcome>;

  /**
   * Deletes, in one commit, every checkpoint that `keep` answers false for; one that changes
   * meanwhile stays. Resolves, when that is durable, to the number deleted.
   *
   * @throws TypeError code TIDEMARK_INVALID_ARGUMENT; TidemarkError as {@link CheckpointStore.put};
   * and whatever `keep` throws, before anything is deleted.
   */
  prune(keep: (key: ResumeKey, checkpoint: Checkpoint) => boolean): Promise<number>;

  /**
   * Every checkpoint, sorted by key, as the disk holds them at the first `next()`. With `prefix`,
   * those whose key has a name that begins so, where the store keeps names.
   *
   * @throws From `next()`: TypeError code TIDEMARK_INVALID_ARGUMENT; TidemarkError code
   * TIDEMARK_UNSUPPORTED for a prefix where the store keeps no names, TIDEMARK_CLOSED, TIDEMARK_IO,
   * TIDEMARK_DECODE and what else a file's content deserves.
   */
  entries(options?: { readonly prefix?: string }): AsyncIterable<[ResumeKey, Checkpoint]>;

  /**
   * Brings what this process knows up to what is on disk. Aborted, it may have done so all the
   * same.
   *
   * @throws As {@link CheckpointStore.get} with `fresh`.
   */
  refresh(options?: { readonly signal?: AbortSignal }): Promise<void>;

  /**
   * What the store counts: counters since it was opened as bigints, gauges as numbers, latencies in
   * microseconds. `docs/json-file-store.md` says what each of them is.
   *
   * @throws TidemarkError code TIDEMARK_CLOSED.
   */
  metrics(): Metrics;

  // One by one, not by a generic name: with that the events of newer types of Node do not fit.
  /** Calls a listener at each event `regressed` from now on. */
  on(event: 'regressed', listener: (...details: StoreEvents['regressed']) => void): this;
  /** Calls a listener at each event `quarantined` from now on. */
  on(event: 'quarantined', listener: (...details: StoreEvents['quarantined']) => void): this;
  /** Calls a listener at each event `poisoned` from now on. */
  on(event: 'poisoned', listener: (...details: StoreEvents['poisoned']) => void): this;
  /** Calls a listener at each event `slowSync` from now on. */
  on(event: 'slowSync', listener: (...details: StoreEvents['slowSync']) => void): this;
  /** Calls a listener that wants no details at each event of this name from now on. */
  on(event: keyof StoreEvents, listener: () => void): this;

  /** Calls a listener at the event `regressed` no longer. */
  off(event: 'regressed', listener: (...details: StoreEvents['regressed']) => void): this;
  /** Calls a listener at the event `quarantined` no longer. */
  off(event: 'quarantined', listener: (...details: StoreEvents['quarantined']) => void): this;
  /** Calls a listener at the event `poisoned` no longer. */
  off(event: 'poisoned', listener: (...details: StoreEvents['poisoned']) => void): this;
  /** Calls a listener at the event `slowSync` no longer. */
  off(event: 'slowSync', listener: (...details: StoreEvents['slowSync']) => void): this;
  /** Calls a listener at events of this name no longer. */
  off(event: keyof StoreEvents, listener: () => void): this;

  /**
   * Finishes what was accepted and closes; later calls reject with TIDEMARK_CLOSED. Idempotent: a
   * second call resolves when the first does.
   */
  close(): Promise<void>;

  /** As {@link CheckpointStore.close}, blocking. */
  closeSync(): void;
}
