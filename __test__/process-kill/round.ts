// One round: writers of several kinds on one state file, killed and started again, in two waves,
// the second of which begins at sequence 0.
//
// Every writer has a fate. It is killed at a random moment, after so many more lines of anybody,
// or it dies by its own hand at a phase of a commit. Meanwhile the observer reads the file again
// and again. At the end of a wave all are killed at once, and what is left is judged (verdict.ts).
// That the file cannot be read is something that was found, not a failure of the round.
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { JsonFileStore } from '../../index.ts';
import { Random } from '../support/random.ts';
import { readState } from '../support/state-file.ts';
import { Journal } from './journal.ts';
import { Life } from './life.ts';
import { type Aim, PHASES } from './phases.ts';
import { type Manner, Tally } from './tally.ts';
import { type Found, judge, torn, wentBack } from './verdict.ts';
import { type WriterConfig, keyOf } from './writer.ts';

/** A way to write a state file. */
export interface Kind {
  readonly name: string;
  /** Whether it can put several keys at once, and deletes as we do. */
  readonly isOurs: boolean;
  /** Whether it makes its calls where they can be watched: through the C library. */
  readonly isWatched: boolean;
  /** Whether every phase of its commits is told apart then, so that it can die in each. */
  readonly isAimed: boolean;
  /** Starts a writer whose standard output is the journal. */
  readonly start: (
    config: WriterConfig,
    journal: number,
    environment: NodeJS.ProcessEnv,
  ) => ChildProcess;
  /** What it finds of these keys in a file that it has not seen before, by hex key. */
  readonly read: (file: string, keys: readonly number[]) => Promise<Found>;
}

/** What a round is made of. */
export interface Plan {
  readonly seed: number;
  /** An empty directory. */
  readonly directory: string;
  /** The library that watches phases. */
  readonly library: string;
  /** The kind of each writer. */
  readonly writers: readonly Kind[];
  /** How often each of them is killed in a wave before the end of it. */
  readonly killsPerWriter: number;
  /** What may lie beside the state file and its lock file in the end. */
  readonly mayLeave?: RegExp;
}

const SHARED = [0, 1, 2];
const CHURN = [3, 4];
/** What the observer itself puts in the end. */
const LAST = 9;
/** The keys that the writer in a slot has for itself; two if it can put them together. */
const ownKeys = ({ isOurs }: Kind, slot: number): number[] =>
  isOurs ? [100 + 2 * slot, 101 + 2 * slot] : [100 + 2 * slot];
const AIMS = PHASES.slice(PHASES.indexOf('locked'));
/** Lines between two looks. */
const LINES_PER_LOOK = 5;

/** Runs a round; returns what it counted, and everything that was wrong. */
export async function runRound(plan: Plan): Promise<Tally> {
  const round = new Round(plan);
  try {
    await round.wave(1);
    await round.wave(2);
    return round.conclude();
  } finally {
    await round.end();
  }
}

class Round {
  readonly #tally = new Tally();
  readonly #plan: Plan;
  readonly #file: string;
  readonly #random: Random;
  readonly #journal: Journal;
  readonly #lives = new Set<Life>();
  readonly #numbers: readonly number[];
  readonly #together: readonly (readonly string[])[];
  /** Nobody deletes beside the original: it writes back what it remembers of a deleted key. */
  readonly #churn: readonly number[];
  /** What a key is called in the history, by its hex form. */
  readonly #names: ReadonlyMap<string, string>;
  /** Values that were seen, to be found in the history once that is complete. */
  readonly #seen: Map<string, Found> = new Map();
  #aimed = 0;
  /** Settles when no writer of the wave is left. */
  #over: Promise<unknown> = Promise.resolve();
  #isEnded = false;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#random = new Random(plan.seed);
    mkdirSync(path.join(plan.directory, 'store'));
    this.#file = path.join(plan.directory, 'store/state.json');
    this.#journal = new Journal(path.join(plan.directory, 'journal'));
    this.#churn = plan.writers.every(({ isOurs }) => isOurs) ? CHURN : [];
    const own = plan.writers.map(ownKeys);
    this.#together = own.map((keys) => keys.map(String));
    this.#numbers = [...SHARED, ...CHURN, LAST, ...own.flat()];
    this.#names = new Map(this.#numbers.map((number) => [keyOf(number).hex, String(number)]));
  }

  /** Runs all writers through their fates, kills those that are left at once, and judges. */
  async wave(wave: number): Promise<void> {
    const { writers, killsPerWriter } = this.#plan;
    const first = writers.map(() => 0);
    const live = async (slot: number, manner: Manner, until: Promise<unknown>): Promise<void> => {
      if (this.#isEnded) return;
      const life = this.#begin(slot, wave, first[slot] ?? 0, manner);
      await this.#finish(life, manner, until);
      first[slot] = 1 + (this.#journal.history.tried.get(life.name) ?? (first[slot] ?? 0) - 1);
    };
    const fated = writers.map(async (kind, slot) => {
      for (let kill = 0; kill < killsPerWriter; kill += 1) {
        const manner = kind.isAimed && kill % 2 === slot % 2 ? 'aimed' : 'random';
        await live(slot, manner, Promise.resolve());
      }
    });
    const allFated = Promise.allSettled(fated);
    const ended = fated.map(async (ofThis, slot) => {
      await ofThis;
      await live(slot, 'end', allFated);
    });
    const over = Promise.all(ended);
    this.#over = Promise.allSettled(ended);
    await Promise.all([over, this.#look(over)]);
    await this.#judge(wave);
  }

  /** The tally of everything. Where something is wrong, the journal is put beside the store. */
  conclude(): Tally {
    const { operations, answered } = this.#journal.history.counts;
    const { complaints, lines } = this.#journal.history;
    Object.assign(this.#tally, { rounds: 1, operations, answered });
    this.#tally.complaints.push(...complaints.map((line) => `a writer: ${line}`));
    if (this.#tally.complaints.length > 0) {
      writeFileSync(path.join(this.#plan.directory, 'journal.txt'), `${lines.join('\n')}\n`);
    }
    return this.#tally;
  }

  /** Leaves nothing behind; the journal is open until the last death is noted in it. */
  async end(): Promise<void> {
    this.#isEnded = true;
    for (const life of this.#lives) life.kill();
    await this.#over;
    this.#journal.close();
  }

  #begin(slot: number, wave: number, first: number, manner: Manner): Life {
    const kind = this.#plan.writers[slot];
    if (kind === undefined) throw new RangeError(`no writer ${slot}`);
    const config: WriterConfig = {
      name: `${kind.name}.${wave}.${this.#lives.size}`,
      file: this.#file,
      seed: this.#random.below(2 ** 31),
      first,
      own: ownKeys(kind, slot),
      shared: SHARED,
      churn: this.#churn,
    };
    const aim: Aim | undefined =
      manner === 'aimed'
        ? {
            phase: AIMS[(this.#aimed += 1) % AIMS.length] ?? 'locked',
            passing: 1 + this.#random.below(6),
          }
        : undefined;
    const life = new Life(kind, config, this.#journal, { ...this.#plan, aim });
    this.#lives.add(life);
    return life;
  }

  async #finish(life: Life, manner: Manner, until: Promise<unknown>): Promise<void> {
    if (manner !== 'aimed') {
      await this.#journal.until(({ tried }) => tried.has(life.name), life.died);
      await until;
      const enough = this.#journal.history.lines.length + this.#random.below(80);
      await this.#journal.until(({ lines }) => lines.length >= enough, life.died);
      life.kill();
    }
    const complaint = await life.died;
    if (complaint !== undefined) this.#tally.complaints.push(complaint);
    await this.#journal.died(life.name);
    this.#tally.kill(life.phase, manner);
  }

  /** Looks at the file until the end of a wave: it parses, and nothing in it goes back. */
  async #look(over: Promise<unknown>): Promise<void> {
    let before: Found = new Map();
    const end = { isReached: false };
    const reached = (): void => {
      end.isReached = true;
    };
    over.then(reached, reached);
    while (!end.isReached) {
      const acknowledged = new Map(this.#journal.history.acknowledged);
      const found = await this.#orComplain('the observer', () => this.#read());
      this.#tally.looks += 1;
      if (found !== undefined) {
        const wrong = wentBack(before, found, acknowledged, new Set(CHURN.map(String)));
        this.#tally.complaints.push(...wrong, ...torn(found, this.#together));
        for (const [key, value] of found) {
          this.#seen.set(`${key} ${value.sequence} ${value.id ?? ''}`, new Map([[key, value]]));
        }
        before = found;
      }
      const enough = this.#journal.history.lines.length + LINES_PER_LOOK;
      await this.#journal.until(({ lines }) => lines.length >= enough, over);
    }
  }

  /** Judges what a wave has left; then the next write works, and leaves nothing behind. */
  async #judge(wave: number): Promise<void> {
    const { history } = this.#journal;
    const { complaints } = this.#tally;
    for (const seen of this.#seen.values()) {
      for (const [key, value] of seen) {
        const wasTried = history.find(key, value) !== undefined;
        if (!wasTried) complaints.push(`PK-1: key ${key} was seen at ${value.sequence}, untried`);
      }
    }
    const found = await this.#judgeFile();
    for (const kind of new Set(this.#plan.writers)) {
      const of = await this.#orComplain(kind.name, () => kind.read(this.#file, this.#numbers));
      if (of === undefined || found === undefined) continue;
      const read = this.#named(of);
      const isSame = isDeepStrictEqual(new Map([...read].sort()), new Map([...found].sort()));
      if (!isSame) complaints.push(`${kind.name} reads something else from the file`);
    }
    await this.#orComplain('the next put', () => this.#putLast(wave));
    await this.#judgeFile();
    complaints.push(...this.#leftOver());
  }

  /** Judges what the file holds now, and returns it. */
  async #judgeFile(): Promise<Found | undefined> {
    const found = await this.#orComplain('the observer', () => this.#read());
    if (found === undefined) return undefined;
    const { complaints } = this.#tally;
    complaints.push(...judge(this.#journal.history, found), ...torn(found, this.#together));
    return found;
  }

  async #putLast(wave: number): Promise<void> {
    const { history } = this.#journal;
    const store = await JsonFileStore.open(this.#file);
    try {
      history.add(`try observer ${wave} put ${LAST} ${wave}`);
      const last = { lastCommittedSequence: wave, lastEventId: `observer/${wave}@${wave}` };
      history.add(`ok observer ${wave} ${(await store.put(keyOf(LAST), last)).applied}`);
    } finally {
      await store.close();
    }
  }

  /** What an action comes to; that it fails is a finding, which is told once. */
  async #orComplain<T>(who: string, action: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await action();
    } catch (error) {
      const complaint = `${who} failed: ${error instanceof Error ? error.message : String(error)}`;
      const { complaints } = this.#tally;
      if (!complaints.includes(complaint)) complaints.push(complaint);
      return undefined;
    }
  }

  #read(): Found {
    return this.#named(readState(this.#file) ?? new Map());
  }

  #named(found: Found): Found {
    return new Map([...found].map(([hex, value]) => [this.#names.get(hex) ?? hex, value]));
  }

  #leftOver(): string[] {
    const names = readdirSync(path.dirname(this.#file));
    const expected = ['state.json', 'state.json.lock'];
    const left = names.filter(
      (name) => !expected.includes(name) && this.#plan.mayLeave?.test(name) !== true,
    );
    return left.map((name) => `${name} was left behind`);
  }
}
