// Alternating rounds: everything in a table is measured in the same minutes on the same disk.

/** Measures one thing for one round: the time of each call, in milliseconds. */
export type Measure = () => Promise<number[]> | number[];

/** The times of one thing, by round. */
export type Rounds = readonly (readonly number[])[];

/**
 * The order of a round, as dice would have it, but the same in every run. Whoever comes after
 * somebody pays for what the disk still does for that one, and for the caches: nobody always comes
 * after the same one.
 */
function order(count: number, round: number): number[] {
  let state = round + 1;
  // The constants are those of Numerical Recipes; the upper bits are the better ones.
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  below(count);
  const turns = Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last -= 1) {
    const chosen = below(last + 1);
    [turns[last], turns[chosen]] = [turns[chosen] as number, turns[last] as number];
  }
  return turns;
}

/** Runs round after round, each with everybody in turn, after one that is thrown away. */
export async function alternate(measures: readonly Measure[], count: number): Promise<Rounds[]> {
  const taken: number[][][] = measures.map(() => []);
  for (const measure of measures) await measure();
  for (let round = 0; round < count; round += 1) {
    for (const index of order(measures.length, round)) {
      taken[index]?.push((await measures[index]?.()) ?? []);
    }
  }
  return taken;
}

/** The value below which this part of all lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/**
 * How many times longer one took than the other: the median of what each round says. A disk that
 * is slow for a minute is slow for both.
 */
export function ratio(of: Rounds, to: Rounds): number {
  return median(of.map((round, index) => median(round) / median(to[index] ?? [])));
}
