// A seeded generator for tests: what it draws can be drawn again.
import process from 'node:process';

/** The seed of this run, which `SEED=` gives; every random test prints it when it fails. */
export const seed: number = Number(process.env['SEED'] ?? Date.now() % 2 ** 31) >>> 0;

/** Draws numbers (xorshift32, Marsaglia 2003). */
export class Random {
  #state: number;

  constructor(from: number) {
    // Neighbouring seeds must not begin alike, and zero would stay zero.
    this.#state = (Math.imul(from ^ 0x9e3779b9, 0x85ebca6b) ^ 0x27d4eb2f) >>> 0 || 1;
  }

  /** An integer from 0 up to, not including, `bound`. */
  below(bound: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % bound;
  }

  /** One of these. */
  pick<Of>(from: readonly Of[]): Of {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new RangeError('nothing to pick from');
    return picked;
  }
}
