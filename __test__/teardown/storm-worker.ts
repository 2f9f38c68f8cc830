// A worker thread of a storm: says that it is at work, and goes on until it is terminated.
import process from 'node:process';
import { setImmediate as tick } from 'node:timers/promises';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { FileLock, JsonFileStore, ResumeKey, Wal, writeFileAtomic } from '../../index.ts';
import { Journal, KINDS, KIND_NAMES, type KindName, SEGMENT_BYTES, kindOf } from './accepted.ts';

/** Worker threads of one wave. */
export const WAVE_WORKERS = 25;

/** What a worker is at when it is terminated; two end by themselves. */
export const MODES = [
  'accepting in json',
  'accepting in log',
  'opening',
  'closing',
  'waiting for a lock',
  'waiting behind the lock of a store',
  'following',
  'reading',
  'loading',
  'ends by exit',
  'ends by an error',
] as const;
export type Mode = (typeof MODES)[number];

/** What a worker is told. */
export interface Given {
  readonly mode: Mode;
  readonly place: string;
  readonly worker: string;
  readonly journal: number;
}

/** Longer than any drain takes. */
const DRAIN_MS = 60_000;
/** Shorter than anybody waits for a lock that is held. */
const SHORT_DRAIN_MS = 20;

class Work {
  readonly #given: Given;
  readonly #journal: Journal;
  #count = 0;

  constructor(given: Given) {
    this.#given = given;
    this.#journal = new Journal(given.journal);
  }

  get place(): string {
    return this.#given.place;
  }

  /** A place that no other worker has. */
  own(name: string): string {
    return `${this.#given.place}.${this.#given.worker}.${name}`;
  }

  /** Opens a store of the wave, and accepts in it as often as it is told. */
  async accept(
    name: KindName,
    bursts: number,
    place = `${this.place}.${name}`,
    drain = DRAIN_MS,
  ): Promise<void> {
    const store = await kindOf(name).open(place, drain);
    for (let burst = 0; burst < bursts; burst += 1) {
      const changes = Array.from({ length: 5 }, () => {
        this.#count += 1;
        return `worker ${this.#given.worker} ${this.#count}`;
      });
      this.#journal.accept(name, place, store, changes);
      if (burst === 0) ready();
      await tick();
    }
  }

  async close(): Promise<void> {
    for (const name of KIND_NAMES) {
      for (const place of [`${this.place}.${name}`, this.own(name)]) {
        const store = await kindOf(name).open(place, DRAIN_MS);
        this.#journal.accept(name, place, store, [`worker ${this.#given.worker} closes ${place}`]);
        void store.close();
        void store.close();
      }
    }
    ready();
  }
}

const ready = (): void => {
  parentPort?.postMessage('at work');
};
const ignore = (): void => undefined;
/** As many as a worker has time for, and no more than a store has room for. */
const BURSTS = 40;

/** What it answers is kept until the end: collected, a lock would be freed. */
const DO: Record<Mode, (work: Work) => unknown> = {
  'accepting in json': (work) => work.accept('json', BURSTS),
  'accepting in log': (work) => work.accept('log', BURSTS),
  opening: async (work) => {
    ready();
    for (let round = 0; round < BURSTS; round += 1) {
      void JsonFileStore.open(work.own(`${round}.json`)).catch(ignore);
      void Wal.open(work.own(`${round % 2}.log`), { segmentBytes: SEGMENT_BYTES }).catch(ignore);
      void FileLock.acquire(work.own('lock')).catch(ignore);
      await tick();
    }
  },
  closing: (work) => work.close(),
  'waiting for a lock': async (work) => {
    const lock = FileLock.tryAcquire(work.own('lock'));
    for (let waiters = 0; waiters < 5; waiters += 1) {
      void FileLock.acquire(work.own('lock')).catch(ignore);
      void FileLock.acquire(`${work.place}.held.json.lock`, { mode: 'shared' }).catch(ignore);
    }
    if (lock === null) throw new Error('nobody else locks this file');
    await tick();
    ready();
    return lock;
  },
  'waiting behind the lock of a store': (work) =>
    work.accept('json', 1, `${work.place}.held.json`, SHORT_DRAIN_MS),
  following: async (work) => {
    const wal = await KINDS.log.open(`${work.place}.log`, DRAIN_MS);
    const beyond = wal.iterate({ from: 2n ** 60n, follow: true });
    void beyond.next().catch(ignore);
    const loop = wal.iterate({ follow: true, maxBytes: 1000, visibility: 'written' });
    ready();
    for (let round = 0; round < BURSTS; round += 1) {
      void loop.next().catch(ignore);
      void wal.readRange({ from: wal.firstLsn }).catch(ignore);
      await tick();
    }
  },
  reading: async (work) => {
    const store = await KINDS.json.open(`${work.place}.json`, DRAIN_MS);
    ready();
    for (let round = 0; round < BURSTS; round += 1) {
      void store.refresh().catch(ignore);
      void store.get(ResumeKey.named('any'), { fresh: true }).catch(ignore);
      void store.entries()[Symbol.asyncIterator]().next().catch(ignore);
      void writeFileAtomic(work.own('file'), String(round)).catch(ignore);
      await tick();
    }
  },
  loading: ignore,
  'ends by exit': async (work) => {
    await work.accept('json', 1);
    await work.accept('log', 1);
    process.exit(0);
  },
  'ends by an error': async (work) => {
    await work.accept('log', 1);
    await work.accept('json', 1);
    throw new Error('on purpose');
  },
};

if (!isMainThread) {
  const given = workerData as Given;
  const kept = await DO[given.mode](new Work(given));
  // Alive until it is terminated, and out of the way of the others.
  parentPort?.on('message', () => kept);
}
