// What the observer outside has seen of each consumer: only what it received itself counts.

/** One consumer, as seen from outside. */
export class Ledger {
  readonly name: string;
  /** How often each event was received, by id; index 0 is not used. */
  readonly #received: Uint32Array;
  #events = 0;
  #last = 0;
  /** Events received more than once, counted each time. */
  redelivered = 0;
  /** Resumptions from before what had been acknowledged: must stay 0. */
  wentBack = 0;
  /** Events whose content was not the file's: must stay 0. */
  damaged = 0;
  kills = 0;

  constructor(name: string, lineCount: number) {
    this.name = name;
    this.#received = new Uint32Array(lineCount + 1);
  }

  /** Distinct events received. */
  get delivered(): number {
    return this.#events;
  }

  /** Events never received: must be 0 in the end. */
  get skipped(): number {
    return this.#received.length - 1 - this.#events;
  }

  /**
   * A consumer sends event N + 1 only after its put of N was acknowledged: what it resumes from may
   * never be less than the event before the last one received.
   */
  resumed(after: number): void {
    if (after < this.#last - 1) this.wentBack += 1;
    this.#last = Math.max(this.#last, after);
  }

  handled(id: number, intact: boolean): void {
    const before = this.#received[id];
    if (before === undefined || id === 0 || !intact) {
      this.damaged += 1;
      return;
    }
    this.#received[id] = before + 1;
    if (before === 0) this.#events += 1;
    else this.redelivered += 1;
    this.#last = Math.max(this.#last, id);
  }

  /** Whether nothing was lost. */
  get isWhole(): boolean {
    return this.skipped === 0 && this.wentBack === 0 && this.damaged === 0;
  }
}
