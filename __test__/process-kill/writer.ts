// A process that puts and deletes until it is killed, and reports what it does (history.ts).
//
//   node writer.js CONFIG        CONFIG is JSON; its keys are numbers, see keyOf
import { writeSync } from 'node:fs';
import process from 'node:process';
import { JsonFileStore, ResumeKey, isTidemarkError } from '../../index.ts';
import { Random } from '../support/random.ts';

/** What a writer is told, in whatever language it is written. */
export interface WriterConfig {
  readonly name: string;
  readonly file: string;
  readonly seed: number;
  /** The first sequence that it puts. */
  readonly first: number;
  /** Keys that it alone puts, always together, in sequence. */
  readonly own: readonly number[];
  /** Keys that every writer puts. */
  readonly shared: readonly number[];
  /** Keys that every writer puts and deletes. */
  readonly churn: readonly number[];
}

/** The key that a number stands for, in every implementation. */
export const keyOf = (number: number): ResumeKey =>
  ResumeKey.derive({
    baseUrl: 'https://kill-fuzz/',
    eventType: 'mars',
    filter: { child: number },
  });

class Writer {
  readonly #store: JsonFileStore;
  readonly #config: WriterConfig;
  readonly #random: Random;
  #ops = 0;

  constructor(store: JsonFileStore, config: WriterConfig) {
    this.#store = store;
    this.#config = config;
    this.#random = new Random(config.seed);
  }

  /** Several operations are on their way at any time, so that commits are groups. */
  async run(): Promise<void> {
    await Promise.all([this.#putOwn(), this.#putShared(), this.#churn()]);
  }

  async #putOwn(): Promise<void> {
    const { own, first } = this.#config;
    for (let sequence = first; ; sequence += 1) await this.#put(own, sequence);
  }

  /** What this process is shown of a key that nobody deletes never goes back. */
  async #putShared(): Promise<void> {
    const { name, shared, first } = this.#config;
    const seen = new Map<number, bigint>();
    for (let floor = first; ; floor += 1) {
      const key = this.#random.pick(shared);
      await this.#put([key], floor + this.#random.below(8));
      const shown = (await this.#store.get(keyOf(key), { fresh: true }))?.lastCommittedSequence;
      const before = seen.get(key) ?? 0n;
      if ((shown ?? -1n) < before) this.#say(`err ${name} get ${before}-became-${String(shown)}`);
      seen.set(key, shown ?? 0n);
    }
  }

  async #churn(): Promise<void> {
    const { churn } = this.#config;
    if (churn.length === 0) return;
    for (;;) {
      const key = this.#random.pick(churn);
      if (this.#random.below(3) === 0) await this.#delete(key);
      else await this.#put([key], this.#random.below(1000));
    }
  }

  async #put(keys: readonly number[], sequence: number): Promise<void> {
    const op = this.#try('put', keys.map((key) => `${key} ${sequence}`).join(' '));
    const checkpoint = {
      lastCommittedSequence: BigInt(sequence),
      lastEventId: `${this.#config.name}/${op}@${sequence}`,
    };
    await this.#answer(op, async () => {
      const results = await this.#store.putMany(keys.map((key) => [keyOf(key), checkpoint]));
      const refused = results.find(({ applied }) => !applied);
      if (refused === undefined) return 'applied';
      const { lastCommittedSequence, lastEventId } = refused.current;
      return `superseded ${lastCommittedSequence} ${lastEventId ?? ''}`;
    });
  }

  async #delete(key: number): Promise<void> {
    const op = this.#try('delete', String(key));
    await this.#answer(op, () => this.#store.delete(keyOf(key)));
  }

  #try(kind: string, what: string): string {
    const op = String((this.#ops += 1));
    this.#say(`try ${this.#config.name} ${op} ${kind} ${what}`);
    return op;
  }

  async #answer(op: string, perform: () => Promise<string>): Promise<void> {
    try {
      this.#say(`ok ${this.#config.name} ${op} ${await perform()}`);
    } catch (error) {
      const what = isTidemarkError(error) ? error.code : String(error).replaceAll(/\s/g, '-');
      this.#say(`err ${this.#config.name} ${op} ${what}`);
    }
  }

  /** One write, so that lines of several writers never mix. */
  #say(line: string): void {
    writeSync(1, `${line}\n`);
  }
}

// Imported for its types and its keys, it writes nothing.
const [, script = '', config] = process.argv;
if (/process-kill.writer\.js$/.test(script) && config !== undefined) {
  const parsed = JSON.parse(config) as WriterConfig;
  await new Writer(await JsonFileStore.open(parsed.file), parsed).run();
}
