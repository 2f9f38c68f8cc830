// A seeded generator (mulberry32), so that a run can be repeated with SEED=.
import process from 'node:process';

/** The seed of this run. */
export const seed: number = Number(process.env['SEED'] ?? Date.now()) >>> 0;

let state = seed;

/** An integer from 0 up to, not including, `below`. */
export function randomBelow(below: number): number {
  state = (state + 0x6d2b79f5) >>> 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
}
