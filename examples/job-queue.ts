// A durable queue of jobs between processes, with no server between them.
//
//   DIRECTORY/jobs     the producer appends jobs, every worker follows
//   DIRECTORY/done-0   worker 0 appends how far it is, the producer follows; done-1 and so on alike
//
// A log has one writing process, so whoever has something to say has a log of its own. Any of them
// may be killed and started again at any moment: a job that was accepted is run at least once.
import { Buffer } from 'node:buffer';
import { EventEmitter, once } from 'node:events';
import path from 'node:path';
import { Wal, isTidemarkError } from '../index.ts';

/** A job, with the number that it got when it was accepted. */
export interface Job {
  readonly lsn: bigint;
  readonly text: string;
}

/** Jobs that may wait to be done before a producer waits as well. */
const BACKLOG_MAX = 1000n;
/** A worker acknowledges after so many bytes of jobs: what it does again after a kill. */
const CHUNK_BYTES = 4096;
/** How many jobs or acknowledgements are kept before they are given up together. */
const PURGE_EVERY = 200n;

const jobsOf = (directory: string): string => path.join(directory, 'jobs');
const doneOf = (directory: string, worker: number): string =>
  path.join(directory, `done-${worker}`);

/** Makes the logs, in a directory that exists: a reader does not. Before anybody opens them. */
export async function createQueue(directory: string, workers: number): Promise<void> {
  const names = Array.from({ length: workers }, (_, worker) => doneOf(directory, worker));
  for (const name of [jobsOf(directory), ...names]) await (await Wal.open(name)).close();
}

/** The side that has jobs to be done: one process. */
export class Producer {
  readonly #jobs: Wal;
  readonly #acknowledged: readonly Wal[];
  /** How far each worker is. */
  readonly #positions: bigint[];
  readonly #progress = new EventEmitter<{ done: []; error: [unknown] }>();
  /** Ends with {@link Producer.close}. */
  #following: Promise<unknown> = Promise.resolve();

  private constructor(jobs: Wal, acknowledged: readonly Wal[]) {
    this.#jobs = jobs;
    this.#acknowledged = acknowledged;
    this.#positions = acknowledged.map(() => 0n);
  }

  static async open(directory: string, workers: number): Promise<Producer> {
    const jobs = await Wal.open(jobsOf(directory));
    const acknowledged: Wal[] = [];
    for (let worker = 0; worker < workers; worker += 1) {
      acknowledged.push(await Wal.open(doneOf(directory, worker), { readOnly: true }));
    }
    const producer = new Producer(jobs, acknowledged);
    producer.#following = Promise.all(acknowledged.map((log, at) => producer.#follow(log, at)));
    producer.#following.catch((error: unknown) => producer.#progress.emit('error', error));
    return producer;
  }

  /** How many jobs were ever accepted, also by producers before this one. */
  get accepted(): bigint {
    return this.#jobs.lastLsn;
  }

  /** Jobs that are done, and all before them. */
  get done(): bigint {
    return this.#positions.reduce((least, position) => (position < least ? position : least));
  }

  /**
   * Accepts jobs behind those that there are: all of them, or none. `after` is how many the caller
   * knows to be accepted: whoever does not know asks {@link Producer.accepted}, and no job is
   * accepted twice.
   */
  async submit(jobs: readonly string[], after: bigint): Promise<void> {
    while (this.accepted - this.done >= BACKLOG_MAX) await once(this.#progress, 'done');
    const records = jobs.map((job) => Buffer.from(job));
    await this.#jobs.appendMany(records, { expect: after + 1n });
  }

  /** Resolves when all that was accepted is done. */
  async drained(): Promise<void> {
    while (this.done < this.accepted) await once(this.#progress, 'done');
  }

  async close(): Promise<void> {
    await Promise.all(this.#acknowledged.map((log) => log.close()));
    await this.#following;
    await this.#jobs.close();
  }

  async #follow(log: Wal, worker: number): Promise<void> {
    for (;;) {
      try {
        for await (const entries of log.iterate({ follow: true })) {
          const newest = entries.at(-1);
          if (newest !== undefined) await this.#acknowledge(worker, positionOf(newest.data));
        }
      } catch (error) {
        if (!isTidemarkError(error)) throw error;
        if (error.code === 'TIDEMARK_CLOSED') return;
        // The worker has given up what this loop had not read. What is left says the same.
        if (error.code !== 'TIDEMARK_EXPIRED') throw error;
      }
    }
  }

  async #acknowledge(worker: number, position: bigint): Promise<void> {
    this.#positions[worker] = position;
    this.#progress.emit('done');
    if (this.done - this.#jobs.firstLsn >= PURGE_EVERY) {
      await this.#jobs.purge({ before: this.done + 1n });
    }
  }
}

/**
 * Runs a worker's share of the jobs, one of `workers` in turn, until the signal ends it. Jobs that
 * are durable are run, and no others: a power cut takes back none that was run.
 */
export async function work(
  directory: string,
  { worker, workers, signal }: { worker: number; workers: number; signal: AbortSignal },
  run: (job: Job) => Promise<void>,
): Promise<void> {
  const jobs = await Wal.open(jobsOf(directory), { readOnly: true });
  const done = await Wal.open(doneOf(directory, worker));
  try {
    const position = done.lastLsn === 0n ? 0n : positionOf((await done.read(done.lastLsn)).data);
    const following = { from: position + 1n, follow: true, maxBytes: CHUNK_BYTES, signal };
    for await (const entries of jobs.iterate(following)) {
      const mine = entries.filter(({ lsn }) => lsn % BigInt(workers) === BigInt(worker));
      await Promise.all(
        mine.map(({ lsn, data }) => run({ lsn, text: Buffer.from(data).toString() })),
      );
      const last = entries.at(-1)?.lsn ?? position;
      const acknowledgement = await done.append(bytesOf(last));
      if (acknowledgement - done.firstLsn >= PURGE_EVERY) {
        await done.purge({ before: acknowledgement });
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    await Promise.all([jobs.close(), done.close()]);
  }
}

function positionOf(data: Uint8Array): bigint {
  return new DataView(data.buffer, data.byteOffset).getBigUint64(0);
}

function bytesOf(position: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, position);
  return bytes;
}
