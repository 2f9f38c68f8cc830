// Reading a log on and on.
import type { ExternalObject, FollowerHandle } from '#binding';
import { type Operation, hub, perform } from './hub.ts';
import { native } from './native.ts';
import { bindToThread } from './thread-bound.ts';
import { type Entry, unpackChunk } from './wal-records.ts';

/** What an iterator asks for. */
export interface Following {
  /** Makes a place in the log; called at the first `next()`. */
  readonly place: () => ExternalObject<FollowerHandle>;
  readonly maxBytes: number;
  readonly follow: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Entries of a log in arrays, one after another, until it is left or disposed of. */
export interface WalLoop extends AsyncIterableIterator<Entry[], undefined>, AsyncDisposable {
  /** Ends it; a call of `next()` that waits is answered as the end. */
  return(): Promise<IteratorResult<Entry[], undefined>>;
  /** Itself: it goes on where it is. */
  [Symbol.asyncIterator](): WalLoop;
}

type Result = IteratorResult<Entry[], undefined>;

const DONE: Result = { done: true, value: undefined };

/**
 * Entries in arrays, one after another. `return()` ends it even while `next()` waits, which a
 * generator could not.
 */
export class WalIterator implements WalLoop {
  readonly #asked: Following;
  #place: ExternalObject<FollowerHandle> | undefined;
  /** The call that the next one waits for: a place answers one at a time. */
  #last: Promise<unknown> = Promise.resolve();
  /** The ticket of the call that is under way. */
  #pending: number | undefined;
  #isOver = false;

  constructor(asked: Following) {
    bindToThread(this, 'a loop over a log');
    this.#asked = asked;
  }

  next(): Promise<Result> {
    const next = this.#last.then(() => this.#next());
    // Whoever called hears of a failure; the next call only waits for it.
    this.#last = next.catch(() => undefined);
    return next;
  }

  return(): Promise<Result> {
    this.#isOver = true;
    const ticket = this.#pending;
    if (ticket !== undefined && this.#withdraw(ticket)) {
      hub.settle(ticket, { ok: true, payload: [] });
    }
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #ended(): boolean {
    return this.#isOver;
  }

  async #next(): Promise<Result> {
    if (this.#ended()) return DONE;
    try {
      const place = (this.#place ??= this.#asked.place());
      const payload = await perform(this.#request(place), this.#asked.signal);
      // One that was over when its entries came gives them no more.
      if (!this.#ended() && payload.length > 0) return { done: false, value: unpackChunk(payload) };
    } catch (error) {
      this.#isOver = true;
      throw error;
    } finally {
      this.#pending = undefined;
    }
    this.#isOver = true;
    return DONE;
  }

  #request(place: ExternalObject<FollowerHandle>): Operation {
    const { maxBytes, follow } = this.#asked;
    return {
      start: (ticket) => {
        this.#pending = ticket;
        native.walFollowerNext(place, ticket, maxBytes, follow);
      },
      withdraw: (ticket) => this.#withdraw(ticket),
    };
  }

  #withdraw(ticket: number): boolean {
    return this.#place !== undefined && native.walFollowerWithdraw(this.#place, ticket);
  }
}
