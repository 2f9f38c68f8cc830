// What the run has seen of the queue from outside: only what arrived there counts.

/** What producer and workers tell. */
export type QueueReport =
  /** Jobs up to a number are accepted. */
  | { readonly kind: 'accepted'; readonly until: bigint }
  /** A job was run, and this is what came of it. */
  | { readonly kind: 'ran'; readonly lsn: bigint; readonly cents: number };

/** The work that a job asks for: what an order comes to. */
export function centsOf(text: string): number {
  const { count, cents } = JSON.parse(text) as { count: number; cents: number };
  return count * cents;
}

/** Jobs accepted and run. */
export class QueueLedger {
  readonly #expected: readonly number[];
  /** How often each job was run, by its number; index 0 is not used. */
  readonly #ran: Uint32Array;
  /** Jobs that the producer was told were accepted. */
  accepted = 0;
  /** Jobs that were run, each counted once. */
  done = 0;
  /** Jobs that were run once more, counted each time. */
  again = 0;
  /** Jobs run that nobody submitted, or with another result: must stay 0. */
  wrong = 0;

  /** @param expected - What each job comes to, in order. */
  constructor(expected: readonly number[]) {
    this.#expected = expected;
    this.#ran = new Uint32Array(expected.length + 1);
  }

  acceptedUntil(lsn: bigint): void {
    this.accepted = Math.max(this.accepted, Number(lsn));
  }

  ran(lsn: bigint, result: number): void {
    const number = Number(lsn);
    const before = this.#ran[number];
    if (before === undefined || this.#expected[number - 1] !== result) {
      this.wrong += 1;
      return;
    }
    this.#ran[number] = before + 1;
    if (before === 0) this.done += 1;
    else this.again += 1;
  }

  /** Jobs that were accepted and never run. */
  get lost(): number {
    return this.#ran.subarray(1, this.accepted + 1).filter((times) => times === 0).length;
  }

  /** Whether every job was accepted and run at least once, and nothing else was. */
  get isWhole(): boolean {
    const all = this.accepted === this.#expected.length && this.done === this.#expected.length;
    return all && this.lost === 0 && this.wrong === 0;
  }
}
