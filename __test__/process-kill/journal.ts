// The observer's end of the pipe that all writers report to. It is outside of them all: what it
// has read is journaled, whatever becomes of its writer.
import { execFileSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { setImmediate as tick } from 'node:timers/promises';
import { History } from './history.ts';

const { O_RDONLY, O_WRONLY, O_NONBLOCK } = constants;

export class Journal {
  /** Everything that was reported, in its order. */
  readonly history: History = new History();
  /** The end that writers get as their standard output. */
  readonly writeEnd: number;
  readonly #reader: Socket;
  /** Our own way in, which never blocks: nobody but us empties the pipe. */
  readonly #ownEnd: number;
  readonly #read = new EventEmitter().setMaxListeners(0);
  #isClosed = false;

  constructor(fifo: string) {
    execFileSync('mkfifo', [fifo]);
    this.#reader = new Socket({ fd: openSync(fifo, O_RDONLY | O_NONBLOCK), writable: false });
    this.writeEnd = openSync(fifo, O_WRONLY);
    this.#ownEnd = openSync(fifo, O_WRONLY | O_NONBLOCK);
    let rest = '';
    this.#reader.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.history.add(line);
      this.#read.emit('lines');
    });
  }

  /** Waits until what was read satisfies a condition, or something else came first. */
  async until(isSo: (history: History) => boolean, orThis: Promise<unknown>): Promise<void> {
    const other = { came: false };
    const came = (): void => {
      other.came = true;
      this.#read.emit('lines');
    };
    orThis.then(came, came);
    while (!other.came && !this.#isClosed && !isSo(this.history)) await once(this.#read, 'lines');
  }

  /** Notes that a writer is dead, after all that it said; returns once that was read. */
  async died(writer: string): Promise<void> {
    while (!this.#isClosed && !this.#wrote(`died ${writer}\n`)) await tick();
    while (!this.#isClosed && !this.history.dead.has(writer)) await once(this.#read, 'lines');
  }

  /** Ends all waiting; what would be written later might go into another file. */
  close(): void {
    this.#isClosed = true;
    this.#read.emit('lines');
    this.#reader.destroy();
    closeSync(this.writeEnd);
    closeSync(this.#ownEnd);
  }

  #wrote(line: string): boolean {
    try {
      writeSync(this.#ownEnd, line);
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return false;
      throw error;
    }
  }
}
