// The one implementation of CheckpointStore over the binding; each kind of store brings its open.
import { EventEmitter } from 'node:events';
import type { ExternalObject, Failure, StoreHandle } from '#binding';
import type {
  Checkpoint,
  CheckpointInput,
  CheckpointStore,
  DeleteOutcome,
  Durability,
  Metrics,
  PutResult,
  RecoveryReport,
  StoreEvents,
} from './checkpoint-store.ts';
import { closedError, typeError, unwrap } from './errors.ts';
import { type Settlement, type StoreListener, hub, payloadOf } from './hub.ts';
import { native } from './native.ts';
import { closing, opening, warnOf } from './opening.ts';
import {
  type DeleteCondition,
  Lookup,
  type Packed,
  packDeletes,
  packPuts,
  pairs,
  unpackEntries,
  unpackPuts,
} from './records.ts';
import type { ResumeKey } from './resume-key.ts';
import { emitEvent } from './store-events.ts';
import { Submissions } from './submissions.ts';
import { bindToThread } from './thread-bound.ts';
import * as validate from './validate.ts';

/** An open store in the addon. */
export type Handle = ExternalObject<StoreHandle>;

/** Opens a store: what comes back under its ticket, which is its id from then on. */
export interface Opened {
  readonly id: number;
  readonly handle: Handle;
  readonly damaged: boolean;
}

/** A checkpoint store in the addon. */
export abstract class NativeCheckpointStore
  extends EventEmitter<StoreEvents>
  implements CheckpointStore
{
  readonly #id: number;
  readonly #handle: Handle;
  readonly #lookup: Lookup = new Lookup();
  readonly #submissions: Submissions;
  /** What the hub tells; kept here, because the hub does not keep it. */
  readonly #listener: StoreListener = {
    event: (name, details) => {
      emitEvent(this, name, details);
    },
    credit: () => {
      this.#submissions.credit();
    },
  };
  #closing: Promise<void> | undefined;

  protected constructor(token: symbol, opened: Opened) {
    super();
    validate.calledByUs(token, 'open() of its class');
    bindToThread(this, 'a store');
    this.#id = opened.id;
    this.#handle = opened.handle;
    this.#submissions = new Submissions('the store', (ticket) =>
      native.storeWithdraw(opened.handle, ticket),
    );
    hub.listen(opened.id, this.#listener);
    warnOf(native.storeInfo(opened.handle).weakness);
  }

  /** Opens a store through the binding. */
  protected static async opening(
    start: (ticket: number) => void,
    signal: AbortSignal | undefined,
  ): Promise<Opened> {
    const late = ([handle]: readonly unknown[], ticket: number): void => {
      native.storeClose(handle as Handle, ticket);
    };
    const { id, payload } = await opening(start, late, signal);
    return { id, handle: payload[0] as Handle, damaged: payload[1] === true };
  }

  get durability(): Durability {
    return native.storeInfo(this.#handle).durability as Durability;
  }

  get recovery(): RecoveryReport {
    return { quarantined: native.storeInfo(this.#handle).quarantined };
  }

  get size(): number {
    this.#checkOpen();
    return native.storeSize(this.#handle);
  }

  async get(
    key: ResumeKey,
    options?: { readonly fresh?: boolean; readonly signal?: AbortSignal },
  ): Promise<Checkpoint | undefined> {
    if (options !== undefined) {
      validate.options(options, 'the options of get', ['fresh', 'signal']);
      const signal = validate.signal(options.signal);
      signal?.throwIfAborted();
      this.#lookup.ask(key);
      if (validate.flag(options.fresh, 'fresh', false)) await this.#refresh(signal);
    }
    return this.getSync(key);
  }

  getSync(key: ResumeKey): Checkpoint | undefined {
    this.#checkOpen();
    const found = native.storeGet(this.#handle, this.#lookup.ask(key));
    if (found === undefined) return undefined;
    const lastEventId = unwrap(found);
    return { lastCommittedSequence: this.#lookup.sequence, lastEventId };
  }

  async put(
    key: ResumeKey,
    checkpoint: CheckpointInput,
    options?: { readonly signal?: AbortSignal },
  ): Promise<PutResult> {
    const [result] = await this.#put([[key, checkpoint]], options);
    return result as PutResult;
  }

  tryPut(key: ResumeKey, checkpoint: CheckpointInput): Promise<PutResult> | null {
    let settled: Promise<Settlement> | null;
    try {
      const { records, texts } = packPuts([[key, checkpoint]]);
      this.#checkOpen();
      settled = this.#submissions.trySubmit((ticket) => {
        return native.storePut(this.#handle, ticket, records, texts);
      });
    } catch (error) {
      // Whoever asks for a promise hears of bad input through it.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      return Promise.reject(error);
    }
    return settled && this.#putResult(settled);
  }

  async putMany(
    entries: Iterable<readonly [ResumeKey, CheckpointInput]>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<PutResult[]> {
    return this.#put(pairs(entries), options);
  }

  putSync(key: ResumeKey, checkpoint: CheckpointInput): PutResult {
    const { records, texts } = packPuts([[key, checkpoint]]);
    this.#checkOpen();
    const [result] = unpackPuts(unwrap(native.storePutSync(this.#handle, records, texts)));
    return result as PutResult;
  }

  async delete(
    key: ResumeKey,
    options: { readonly ifSequence?: bigint | number; readonly signal?: AbortSignal } = {},
  ): Promise<DeleteOutcome> {
    validate.options(options, 'the options of delete', ['ifSequence', 'signal']);
    const { ifSequence } = options;
    const condition =
      ifSequence === undefined ? undefined : validate.uint64(ifSequence, 'ifSequence');
    const signal = validate.signal(options.signal);
    const [outcome] = await this.#delete([[key, condition]], signal);
    return outcome as DeleteOutcome;
  }

  async prune(keep: (key: ResumeKey, checkpoint: Checkpoint) => boolean): Promise<number> {
    if (typeof (keep as unknown) !== 'function') throw typeError('keep must be a function');
    const doomed: [ResumeKey, Checkpoint][] = [];
    for (const [key, checkpoint] of await this.#entries()) {
      if (!keep(key, checkpoint)) doomed.push([key, checkpoint]);
    }
    if (doomed.length === 0) return 0;
    const outcomes = await this.#delete(doomed, undefined);
    return outcomes.filter((outcome) => outcome === 'deleted').length;
  }

  async *entries(
    options: {
      readonly prefix?: string;
    } = {},
  ): AsyncGenerator<[ResumeKey, Checkpoint], void, undefined> {
    validate.options(options, 'the options of entries', ['prefix']);
    const { prefix } = options;
    if (prefix !== undefined) {
      validate.text(prefix, 'prefix');
      this.checkPrefix();
    }
    for (const entry of await this.#entries()) {
      this.#checkOpen();
      if (prefix === undefined || entry[0].name?.startsWith(prefix) === true) yield entry;
    }
  }

  async refresh(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    validate.options(options, 'the options of refresh', ['signal']);
    const signal = validate.signal(options.signal);
    await this.#refresh(signal);
  }

  metrics(): Metrics {
    this.#checkOpen();
    return Object.freeze(native.storeMetrics(this.#handle));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  closeSync(): void {
    this.#closing ??= Promise.resolve();
    this.#submissions.rejectWaiting();
    native.storeCloseSync(this.#handle);
    hub.unlisten(this.#id);
  }

  /** As {@link CheckpointStore.close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Refuses a prefix where the store keeps no names. */
  protected abstract checkPrefix(): void;

  /** Runs an operation that changes nothing, and has a damaged file moved aside on its way. */
  protected async repair(signal: AbortSignal | undefined): Promise<void> {
    await this.#submit({ records: new Uint8Array(), texts: [] }, native.storePut, signal);
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw closedError('the store');
  }

  async #put(
    entries: readonly (readonly [ResumeKey, CheckpointInput])[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<PutResult[]> {
    validate.options(options, 'the options of put', ['signal']);
    const packed = packPuts(entries);
    const signal = validate.signal(options.signal);
    if (entries.length === 0) {
      this.#checkOpen();
      return [];
    }
    return unpackPuts(await this.#submit(packed, native.storePut, signal));
  }

  async #putResult(settled: Promise<Settlement>): Promise<PutResult> {
    return unpackPuts(payloadOf(await settled))[0] as PutResult;
  }

  async #delete(
    entries: readonly (readonly [ResumeKey, DeleteCondition])[],
    signal: AbortSignal | undefined,
  ): Promise<readonly DeleteOutcome[]> {
    const outcomes = await this.#submit(packDeletes(entries), native.storeDelete, signal);
    return outcomes as readonly DeleteOutcome[];
  }

  async #entries(): Promise<[ResumeKey, Checkpoint][]> {
    this.#checkOpen();
    const operation = {
      start: (ticket: number) => {
        native.storeEntries(this.#handle, ticket);
      },
      withdraw: () => false,
    };
    return unpackEntries(await this.#submissions.run(operation, undefined));
  }

  async #refresh(signal: AbortSignal | undefined): Promise<void> {
    this.#checkOpen();
    const operation = {
      start: (ticket: number) => {
        native.storeRefresh(this.#handle, ticket);
      },
      // Reading has no effect to take back: the caller just hears no more of it.
      withdraw: () => true,
    };
    await this.#submissions.run(operation, signal);
  }

  /** Hands an operation over, waiting for room, and waits for what it comes to. */
  async #submit(
    { records, texts }: Packed,
    handOver: typeof native.storePut,
    signal: AbortSignal | undefined,
  ): Promise<readonly unknown[]> {
    this.#checkOpen();
    const submit = (ticket: number): boolean | Failure => {
      return handOver(this.#handle, ticket, records, texts);
    };
    return payloadOf(await this.#submissions.submit({ handOver: submit }, signal));
  }

  async #close(): Promise<void> {
    await this.#submissions.close();
    await closing(this.#id, (ticket) => {
      native.storeClose(this.#handle, ticket);
    });
  }
}
