// Writers that hand one lock over to each other, and what the state file says of their turns.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { ExecutionContext } from 'ava';
import { FileLock, ResumeKey } from '../../index.ts';
import { start } from './child.ts';
import { root } from './compiled.ts';
import { readState } from './state-file.ts';

/** How often each key was put, by name. */
export type Counts = Readonly<Record<string, number>>;

/** What the state file holds at one moment: a cut through all of its writers' work. */
export function counts(file: string, names: readonly string[]): Counts {
  const found = readState(file);
  return Object.fromEntries(
    names.map((name) => [name, found?.get(ResumeKey.named(name).hex)?.sequence ?? 0]),
  );
}

/** How much more the busiest did than the one that did least. */
export function spread(counts: Counts): number {
  const all = Object.values(counts);
  return Math.max(...all) / Math.min(...all);
}

/** Starts the writer in Python; killed when the test is over. */
export function startPython(t: ExecutionContext, ...args: readonly string[]): ChildProcess {
  const script = path.join(root, '__test__/support/python-writer.py');
  const child = spawn('python3', ['-I', '-B', script, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

/** Writers that begin at one moment: the lock is held until the last of them is ready. */
export class Race {
  readonly #t: ExecutionContext;
  readonly #file: string;
  readonly #turns: number;
  readonly #lock: FileLock;
  readonly #ready: Promise<unknown>[] = [];
  readonly #done: Promise<unknown>[] = [];

  private constructor(t: ExecutionContext, file: string, turns: number, lock: FileLock) {
    this.#t = t;
    this.#file = file;
    this.#turns = turns;
    this.#lock = lock;
  }

  /** A race on a file, that ends when one has done so many turns. */
  static async prepare(t: ExecutionContext, file: string, turns: number): Promise<Race> {
    const lock = await FileLock.acquire(`${file}.lock`);
    t.teardown(() => lock.release());
    return new Race(t, file, turns, lock);
  }

  /** Adds a process; with several names, a worker thread of it for each. */
  process(...names: readonly string[]): ChildProcess {
    const args = [this.#file, String(this.#turns), ...names];
    return this.#add(start(this.#t, 'hand-over-writer.ts', args), names.length);
  }

  /** Adds the writer in Python, which goes on until it is killed. */
  python(name: string, mode: 'loop' | 'loop-giving-way'): ChildProcess {
    const { hex } = ResumeKey.named(name);
    return this.#add(startPython(this.#t, mode, this.#file, hex), 1);
  }

  /** Lets them go when all are ready; `firstDone` resolves when one is done. */
  async begin(): Promise<{ readonly firstDone: Promise<unknown> }> {
    await Promise.all(this.#ready);
    this.#lock.release();
    return { firstDone: Promise.race(this.#done) };
  }

  #add(child: ChildProcess, writers: number): ChildProcess {
    if (child.stdout === null) throw new Error('a writer is heard through its stdout');
    const lines = createInterface({ input: child.stdout });
    const heard = (word: string, times: number): Promise<void> =>
      new Promise((resolve) => {
        lines.on('line', (line) => {
          if (line === word && (times -= 1) === 0) resolve();
        });
      });
    const failed = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`a writer ended with ${String(signal ?? code)}`);
    });
    this.#ready.push(Promise.race([heard('ready', writers), failed]));
    this.#done.push(heard('done', 1));
    return child;
  }
}
