// What a round counted.
import { HOLDING, PHASES, type Phase } from './phases.ts';

/** How a process was killed: at a random moment, at a phase, or with all others at the end. */
export type Manner = 'random' | 'aimed' | 'end';

/** Counts of one round or of many. */
export class Tally {
  rounds = 0;
  operations = 0;
  answered = 0;
  looks = 0;
  /** Kills by the phase in which they found their process; undefined where nobody watched. */
  readonly kills: Map<Phase | undefined, Record<Manner, number>> = new Map();
  /** Everything that was wrong. */
  readonly complaints: string[] = [];

  /** Counts a kill. */
  kill(phase: Phase | undefined, manner: Manner, count = 1): void {
    const counts = this.kills.get(phase) ?? { random: 0, aimed: 0, end: 0 };
    counts[manner] += count;
    this.kills.set(phase, counts);
  }

  /** Adds the counts of another round. */
  add(other: Tally): void {
    this.rounds += other.rounds;
    this.operations += other.operations;
    this.answered += other.answered;
    this.looks += other.looks;
    this.complaints.push(...other.complaints);
    for (const [phase, { random, aimed, end }] of other.kills) {
      this.kill(phase, 'random', random);
      this.kill(phase, 'aimed', aimed);
      this.kill(phase, 'end', end);
    }
  }

  /** Kills of one manner, or of all; in these phases, or in all. */
  killed(manners: readonly Manner[], phases: readonly Phase[] = PHASES): number {
    let sum = 0;
    for (const phase of phases) {
      for (const manner of manners) sum += this.kills.get(phase)?.[manner] ?? 0;
    }
    return sum;
  }

  /** The share of the kills at random moments that found a process with the lock. */
  get holdingShare(): number {
    return this.killed(['random', 'end'], HOLDING) / this.killed(['random', 'end']);
  }

  /** All of it, as lines to print. */
  lines(): string[] {
    const row = (name: string, counts: readonly (number | string)[]): string =>
      name.padEnd(22) + counts.map((count) => String(count).padStart(8)).join('');
    const kills = [...PHASES, undefined].flatMap((phase) => {
      const counts = this.kills.get(phase);
      if (counts === undefined) return phase === undefined ? [] : [row(phase, [0, 0, 0])];
      return [row(phase ?? 'not watched', [counts.random, counts.aimed, counts.end])];
    });
    const percent = Math.round(100 * this.holdingShare);
    return [
      `${this.rounds} rounds, ${this.operations} operations, ${this.answered} answered, ` +
        `${this.looks} looks at the file, ${this.complaints.length} complaints`,
      row('killed when', ['random', 'aimed', 'at end']),
      ...kills,
      `holding the lock: ${percent} % of the kills at random moments`,
    ];
  }
}
