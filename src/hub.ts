// The JavaScript end of the one channel through which everything comes back: tickets, events, and
// the end of the environment.
import process from 'node:process';
import type { Failure } from '#binding';
import { toError } from './errors.ts';
import { native } from './native.ts';

/** What an operation came to, as the binding sends it; see crates/node/src/payload.rs. */
export type Settlement =
  | { readonly ok: true; readonly payload: readonly unknown[] }
  | { readonly ok: false; readonly failure: Failure };

/** What a store hears beside its results. */
export interface StoreListener {
  /** Something happened. */
  event(name: string, details: readonly unknown[]): void;
  /** There may be room in the queue. */
  credit(): void;
}

const SETTLED = 0;
const EVENT = 1;
const CREDIT = 2;

/** Results of a log that the addon leaves in the memory that is shared before it calls. */
const RESULTS_MAX = 512;
/** Words of 8 bytes of each: its ticket as a float, its first and its last LSN. */
const RESULT_WORDS = 3;

type Settle = (settlement: Settlement) => void;

/** The tickets and listeners of this environment. */
class Hub {
  readonly native: InstanceType<typeof native.Hub>;
  readonly #settle = new Map<number, Settle>();
  readonly #listeners = new Map<number, WeakRef<StoreListener>>();
  readonly #lsns = new BigUint64Array(RESULTS_MAX * RESULT_WORDS);
  readonly #tickets = new Float64Array(this.#lsns.buffer);
  #lastTicket = 0;
  #wakes = false;
  /** Whether the process ends: no tick will run any more. */
  #exits = false;

  constructor() {
    this.native = new native.Hub((told) => {
      if (typeof told === 'number') this.#receiveAppended(told);
      else for (const message of told) this.#receive(message);
    }, this.#lsns);
    // Environment clean-up hooks run at a natural end and in workers; after process.exit() or an
    // uncaught error in the main thread only this does.
    process.on('exit', () => {
      this.#exits = true;
      this.finishIfExiting();
    });
  }

  /** Finishes what an exit handler hands over: nothing else will run any more. Blocks there. */
  finishIfExiting(): void {
    if (this.#exits) this.native.drain();
  }

  /** A number that no pending operation has. */
  ticket(): number {
    do this.#lastTicket = (this.#lastTicket + 1) >>> 0;
    while (this.#settle.has(this.#lastTicket) || this.#listeners.has(this.#lastTicket));
    return this.#lastTicket;
  }

  /** Has the stores begin with what they were handed, when this tick is over: as one group. */
  wakeSoon(): void {
    if (this.#wakes) return;
    this.#wakes = true;
    process.nextTick(() => {
      this.#wakes = false;
      this.native.wake();
    });
  }

  /** What becomes of a ticket. */
  settled(ticket: number): Promise<Settlement> {
    return new Promise((resolve) => {
      this.expect(ticket, resolve);
    });
  }

  /** As {@link Hub.settled}, as a call. */
  expect(ticket: number, settle: Settle): void {
    this.#settle.set(ticket, settle);
  }

  /** Settles a ticket from this side; false if it is settled already. */
  settle(ticket: number, settlement: Settlement): boolean {
    const settle = this.#settle.get(ticket);
    this.#settle.delete(ticket);
    settle?.(settlement);
    return settle !== undefined;
  }

  /** Settles a ticket for nobody: whatever comes back is dropped. */
  forget(ticket: number): void {
    this.#settle.delete(ticket);
  }

  /** Tells a store of its events from now on, for as long as the store keeps the listener. */
  listen(store: number, listener: StoreListener): void {
    this.#listeners.set(store, new WeakRef(listener));
  }

  /** Tells it no longer. */
  unlisten(store: number): void {
    this.#listeners.delete(store);
  }

  /** What so many operations of a log came to. */
  #receiveAppended(count: number): void {
    for (let at = 0; at < count * RESULT_WORDS; at += RESULT_WORDS) {
      const payload = [this.#lsns[at + 1], this.#lsns[at + 2]];
      this.settle(this.#tickets[at] as number, { ok: true, payload });
    }
  }

  #receive(message: readonly unknown[]): void {
    const [tag, id] = message as readonly [number, number];
    if (tag === SETTLED) {
      const [, , ok, body] = message;
      this.settle(
        id,
        ok === true
          ? { ok, payload: body as readonly unknown[] }
          : { ok: false, failure: body as Failure },
      );
      return;
    }
    const listener = this.#listeners.get(id)?.deref();
    if (listener === undefined) this.#listeners.delete(id);
    try {
      if (tag === EVENT) listener?.event(message[2] as string, message.slice(3));
      if (tag === CREDIT) listener?.credit();
    } catch (error) {
      // A listener's mistake is the user's own, and must not keep the other messages back.
      queueMicrotask(() => {
        throw error;
      });
    }
  }
}

/** This environment's hub. */
export const hub: Hub = new Hub();

/** An operation that can be started, and taken back while it has not begun. */
export interface Operation {
  /** Hands it over. */
  start(ticket: number): void;
  /** Takes it back; false if it is too late. */
  withdraw(ticket: number): boolean;
  /** Takes what comes back although nobody waits for it any more. */
  late?(payload: readonly unknown[]): void;
}

/** What an operation came to, or its error thrown: at the await, so that the stack names it. */
export function payloadOf(settlement: Settlement): readonly unknown[] {
  if (settlement.ok) return settlement.payload;
  throw toError(settlement.failure);
}

/** Runs an operation to its end. */
export async function perform(
  operation: Operation,
  signal: AbortSignal | undefined,
): Promise<readonly unknown[]> {
  return payloadOf(await settlementOf(operation, signal));
}

/**
 * Runs an operation to its end, whatever that is. An aborted one rejects with the signal's reason,
 * and then nothing was done.
 */
export async function settlementOf(
  operation: Operation,
  signal: AbortSignal | undefined,
): Promise<Settlement> {
  signal?.throwIfAborted();
  const ticket = hub.ticket();
  const settled = hub.settled(ticket);
  operation.start(ticket);
  hub.finishIfExiting();
  return signal === undefined
    ? settled
    : abortable(settled, signal, () => withdraw(operation, ticket));
}

/** Takes an operation back, and forgets its ticket. */
function withdraw(operation: Operation, ticket: number): boolean {
  if (!operation.withdraw(ticket)) return false;
  if (operation.late === undefined) {
    hub.forget(ticket);
  } else {
    void hub.settled(ticket).then((settlement) => {
      if (settlement.ok) operation.late?.(settlement.payload);
    });
  }
  return true;
}

/** Rejects with the signal's reason if the operation could be taken back in time. */
async function abortable(
  settled: Promise<Settlement>,
  signal: AbortSignal,
  withdraw: () => boolean,
): Promise<Settlement> {
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => {
      // The reason is whatever the user gave, as everywhere in the platform.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      if (withdraw()) reject(signal.reason);
    };
  });
  const release = onAbort(signal, abort);
  try {
    return await Promise.race([settled, aborted]);
  } finally {
    release();
  }
}

/** What each signal aborts, and the one listener that does. */
const aborts = new WeakMap<AbortSignal, { calls: Set<() => void>; listener: () => void }>();

/**
 * Calls `abort` when the signal says so; returns what takes that back. One listener serves all
 * calls that share a signal: Node warns of a leak where there are more than ten.
 */
function onAbort(signal: AbortSignal, abort: () => void): () => void {
  let shared = aborts.get(signal);
  if (shared === undefined) {
    const calls = new Set<() => void>();
    const listener = (): void => {
      for (const call of calls) call();
    };
    shared = { calls, listener };
    aborts.set(signal, shared);
    signal.addEventListener('abort', listener, { once: true });
  }
  const { calls, listener } = shared;
  calls.add(abort);
  return () => {
    calls.delete(abort);
    if (calls.size > 0) return;
    aborts.delete(signal);
    signal.removeEventListener('abort', listener);
  };
}
