// One writer, from its start to its death by SIGKILL.
import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import type { Journal } from './journal.ts';
import { type Aim, type Phase, PhaseFile } from './phases.ts';
import type { Kind } from './round.ts';
import type { WriterConfig } from './writer.ts';

/** A writer that lives so long is stuck: its fate never came. Nothing else is decided by it. */
const HANG_MS = 240_000;

/** Where a life is led. */
export interface Place {
  readonly directory: string;
  readonly library: string;
  readonly aim: Aim | undefined;
}

/** A process that writes. */
export class Life {
  readonly name: string;
  /** Resolves when it is dead; with what is wrong, if it was not SIGKILL. */
  readonly died: Promise<string | undefined>;
  readonly #child: ChildProcess;
  readonly #phases: PhaseFile | undefined;

  constructor(kind: Kind, config: WriterConfig, journal: Journal, place: Place) {
    this.name = config.name;
    const { directory, library, aim } = place;
    this.#phases = kind.isWatched
      ? new PhaseFile(path.join(directory, `${config.name}.phase`))
      : undefined;
    const environment = this.#phases?.environment(library, aim) ?? process.env;
    this.#child = kind.start(config, journal.writeEnd, environment);
    this.died = this.#watch();
  }

  /** Where in a commit it was last; undefined where nobody watched. */
  get phase(): Phase | undefined {
    return this.#phases?.read();
  }

  /** Kills it, unless it is dead. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #watch(): Promise<string | undefined> {
    const said: string[] = [];
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => said.push(text));
    return new Promise((resolve, reject) => {
      let isStuck = false;
      const hang = setTimeout(() => {
        isStuck = true;
        this.kill();
      }, HANG_MS);
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => {
        clearTimeout(hang);
        const how = isStuck ? 'was stuck' : `ended by itself with ${signal ?? String(code)}`;
        const isKilled = signal === 'SIGKILL' && !isStuck;
        resolve(isKilled ? undefined : `${this.name} ${how}: ${said.join('')}`);
      });
    });
  }
}
