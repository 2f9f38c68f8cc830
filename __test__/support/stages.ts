// What the processes and worker threads have in common that use a store of some kind up to a
// certain stage of their work. The first argument names the stage, the second the store's place.
import process from 'node:process';
import { setImmediate as tick } from 'node:timers/promises';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

/** What a store's user may do before it ends; `index` tells worker threads apart. */
export type Stage = (place: string, index: number) => Promise<void> | void;

/** A kind of store, and what is done to one without awaiting it. */
export interface Kind<Store extends WeakKey> {
  readonly open: (place: string) => Promise<Store>;
  /** Makes a hundred changes that tell which they are by this name. */
  readonly changeAll: (store: Store, name: string) => Promise<unknown>;
  readonly close: (store: Store) => Promise<void>;
  /** What the changes are called where nobody needs to tell them from others. */
  readonly name: string;
}

/** Tells whoever started this process. */
export const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** The stages of one file, whose worker threads run the same file. */
export class Stages<Store extends WeakKey> {
  readonly #url: string;
  readonly #kind: Kind<Store>;

  constructor(url: string, kind: Kind<Store>) {
    [this.#url, this.#kind] = [url, kind];
  }

  /** Does what was asked for. Imported for its constants alone, it does nothing. */
  async run(own: Record<string, Stage>): Promise<void> {
    const all = { ...this.#endings(), ...this.#inThreads(), ...own };
    const given = isMainThread
      ? { stage: process.argv[2] ?? '', place: process.argv[3] ?? '', index: 0 }
      : (workerData as { stage: string; place: string; index: number });
    if (Object.hasOwn(all, given.stage)) await all[given.stage]?.(given.place, given.index);
  }

  /** Opens a store and changes it without awaiting; nothing here refers to it after that. */
  async openAndForget(place: string): Promise<WeakRef<Store>> {
    return new WeakRef(await this.#changed(place));
  }

  async #changed(place: string): Promise<Store> {
    const { open, changeAll, name } = this.#kind;
    const store = await open(place);
    void changeAll(store, name);
    return store;
  }

  /** A process, or a thread, that ends with changes on their way. */
  #endings(): Record<string, Stage> {
    return {
      end: async (place) => {
        await this.#changed(place);
      },
      exit: async (place) => {
        await this.#changed(place);
        process.exit(0);
      },
      'exit a tick later': async (place) => {
        await this.#changed(place);
        await tick();
        process.exit(0);
      },
      throw: async (place) => {
        await this.#changed(place);
        process.nextTick(() => {
          throw new Error('on purpose');
        });
      },
      'close and end': async (place) => {
        void this.#kind.close(await this.#changed(place));
      },
      'while opening': (place) => {
        void this.#kind.open(place);
        process.exit(0);
      },
    };
  }

  #inThreads(): Record<string, Stage> {
    return {
      'worker ends': (place) => this.inWorkers('end', place, 1),
      'worker exits': (place) => this.inWorkers('exit', place, 1),
      'worker throws': (place) => this.inWorkers('throw', place, 1),
      'worker is terminated': (place) => this.inWorkers('change and spin', place, 1, terminate),
      'change and spin': async (place) => {
        await this.#changed(place);
        parentPort?.postMessage('accepted');
        for (;;) await tick();
      },
      'share between workers': (place) => this.inWorkers('change all and close', place, 8),
      'change all and close': async (place, index) => {
        const { open, changeAll, close } = this.#kind;
        const store = await open(place);
        await changeAll(store, `worker ${index}`);
        await close(store);
      },
    };
  }

  /** Has worker threads do a stage each; ends when all have ended. */
  async inWorkers(
    stage: string,
    place: string,
    count: number,
    whenItSpeaks?: (worker: Worker) => void,
  ): Promise<void> {
    const workers = Array.from({ length: count }, async (_, index) => {
      const worker = new Worker(new URL(this.#url), { workerData: { stage, place, index } });
      worker.on('error', (error) => {
        say(`worker: ${String(error)}`);
      });
      worker.on('message', () => whenItSpeaks?.(worker));
      await new Promise((resolve) => worker.once('exit', resolve));
    });
    await Promise.all(workers);
  }
}

const terminate = (worker: Worker): void => void worker.terminate();
