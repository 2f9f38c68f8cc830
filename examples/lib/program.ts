// A program of the examples in a process of its own, which is there to be killed.
import { type ChildProcess, type Serializable, fork } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';

/** How a program ended: its code, or the signal. */
export type End = number | NodeJS.Signals;

/** A running program; what it says comes one message at a time. */
export class Program<Heard> {
  readonly #child: ChildProcess;
  /** Resolves when it has ended and everything that it said was heard. */
  readonly ended: Promise<End>;

  /**
   * @param name - A file of this directory, without its extension: compiled or not, as this one.
   * @param hear - Told everything that it sends.
   */
  constructor(name: string, args: readonly string[], hear: (message: Heard) => void) {
    const file = path.join(import.meta.dirname, name + path.extname(import.meta.filename));
    const execArgv = [...process.execArgv, '--no-warnings'];
    this.#child = fork(file, args, { serialization: 'advanced', execArgv });
    this.#child.on('message', hear);
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('close', (code, signal) => {
        resolve(signal ?? code ?? 0);
      });
    });
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && !this.#child.killed;
  }

  /** Says something to it; lost if it is gone, as on any network. */
  say(message: Serializable): void {
    if (this.isRunning && this.#child.connected) this.#child.send(message, () => undefined);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
