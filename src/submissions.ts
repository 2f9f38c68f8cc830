// The operations of one open store on their way into its queue: they wait here for room, in order,
// and are counted until they are settled, so that close can wait for them.
import type { Failure } from '#binding';
import { closedError } from './errors.ts';
import { type Operation, type Settlement, hub, perform, settlementOf } from './hub.ts';

/** Hands an operation over under its ticket: accepted, no room, or refused. */
export type HandOver = (ticket: number) => boolean | Failure;

/** An operation on its way in. */
export interface Submission {
  /** Hands it over. */
  readonly handOver: HandOver;
  /** Called before it has to wait for room: takes what is the caller's, who may change it. */
  readonly keep?: () => void;
}

/** A call that waits for room. */
interface Waiting {
  readonly ticket: number;
  readonly handOver: HandOver;
}

/** The submissions of one open store. */
export class Submissions {
  readonly #what: string;
  readonly #withdraw: (ticket: number) => boolean;
  readonly #waiting: Waiting[] = [];
  /** Operations that are not settled. */
  #unsettled = 0;
  /** Told when the last of them is. */
  #onSettled: (() => void) | undefined;

  /**
   * @param what - What is open, for messages.
   * @param withdraw - Takes an operation back out of the native queue.
   */
  constructor(what: string, withdraw: (ticket: number) => boolean) {
    this.#what = what;
    this.#withdraw = withdraw;
  }

  /** Hands an operation over, waiting for room, and waits for what it comes to. */
  submit(submission: Submission, signal: AbortSignal | undefined): Promise<Settlement> {
    if (signal === undefined) {
      // The way of nearly every call: one promise, and nothing else that lives until it is settled.
      const ticket = hub.ticket();
      const settled = this.#settled(ticket);
      this.#start(submission, ticket);
      hub.finishIfExiting();
      return settled;
    }
    const operation = {
      start: (ticket: number): void => {
        this.#start(submission, ticket);
      },
      withdraw: (ticket: number): boolean => {
        const index = this.#waiting.findIndex((waiting) => waiting.ticket === ticket);
        if (index < 0) return this.#withdraw(ticket);
        this.#waiting.splice(index, 1);
        return true;
      },
    };
    return this.#counted(settlementOf(operation, signal));
  }

  /** Hands an operation over if there is room; what it will come to, or null. */
  trySubmit(handOver: HandOver): Promise<Settlement> | null {
    if (this.#waiting.length > 0) return null;
    const ticket = hub.ticket();
    const accepted = handOver(ticket);
    if (accepted === false) return null;
    const settled = this.#settled(ticket);
    this.#handedOver(ticket, accepted);
    hub.finishIfExiting();
    return settled;
  }

  /** Runs an operation that needs no room, and counts it. */
  run(operation: Operation, signal: AbortSignal | undefined): Promise<readonly unknown[]> {
    return this.#counted(perform(operation, signal));
  }

  /** There may be room: hands over what waits, in order. */
  credit(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const accepted = first.handOver(first.ticket);
      if (accepted === false) return;
      this.#waiting.shift();
      this.#handedOver(first.ticket, accepted);
    }
  }

  /** Rejects what was never accepted, and waits for the rest. */
  async close(): Promise<void> {
    this.rejectWaiting();
    if (this.#unsettled === 0) return;
    await new Promise<void>((resolve) => {
      this.#onSettled = resolve;
    });
  }

  /** Rejects the calls that wait for room: they were never accepted. */
  rejectWaiting(): void {
    const failure = { code: 'TIDEMARK_CLOSED', message: closedError(this.#what).message };
    for (const { ticket } of this.#waiting.splice(0)) hub.settle(ticket, { ok: false, failure });
  }

  #start({ handOver, keep }: Submission, ticket: number): void {
    const accepted = this.#waiting.length === 0 && handOver(ticket);
    if (accepted !== false) {
      this.#handedOver(ticket, accepted);
      return;
    }
    keep?.();
    this.#waiting.push({ ticket, handOver });
  }

  #handedOver(ticket: number, accepted: true | Failure): void {
    if (accepted === true) hub.wakeSoon();
    else hub.settle(ticket, { ok: false, failure: accepted });
  }

  /** What becomes of a ticket that nobody takes back; counted. */
  #settled(ticket: number): Promise<Settlement> {
    this.#unsettled += 1;
    return new Promise((resolve) => {
      hub.expect(ticket, (settlement) => {
        resolve(settlement);
        this.#settledOne();
      });
    });
  }

  async #counted<T>(operation: Promise<T>): Promise<T> {
    this.#unsettled += 1;
    try {
      return await operation;
    } finally {
      this.#settledOne();
    }
  }

  #settledOne(): void {
    this.#unsettled -= 1;
    if (this.#unsettled === 0) this.#onSettled?.();
  }
}
