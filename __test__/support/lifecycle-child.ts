// A process or a worker thread that ends at a certain stage of its work. The first argument names
// the stage, the second the store's file.
import process from 'node:process';
import { setImmediate as tick, setTimeout as after } from 'node:timers/promises';
import { FileLock, JsonFileStore, MemoryStore, ResumeKey, writeFileAtomic } from '../../index.ts';
import { threads } from './process-state.ts';
import { type Stage, Stages, say } from './stages.ts';

/** How many puts a stage leaves un-awaited. */
export const PUTS = 100;

/** Puts without awaiting: `<name> 0` to `<name> 99`. */
function putAll(store: JsonFileStore, name: string): Promise<unknown> {
  const puts = Array.from({ length: PUTS }, (_, index) =>
    store.put(ResumeKey.named(`${name} ${index}`), { lastCommittedSequence: index }),
  );
  return Promise.all(puts);
}

const stages = new Stages<JsonFileStore>(import.meta.url, {
  open: (file) => JsonFileStore.open(file),
  changeAll: putAll,
  close: (store) => store.close(),
  name: 'put',
});

/** What a store's user may do before it ends. */
const STAGES: Record<string, Stage> = {
  'load only': () => undefined,
  'idle store': async (file) => {
    const store = await JsonFileStore.open(file);
    store.on('regressed', () => undefined);
    await store.put(ResumeKey.named('idle'), { lastCommittedSequence: 1n });
    await MemoryStore.open();
    await FileLock.acquire(`${file}.other`);
  },
  'await a put': async (file) => {
    const store = await JsonFileStore.open(file);
    void store.put(ResumeKey.named('put 0'), { lastCommittedSequence: 0n }).then(({ applied }) => {
      say(`applied: ${String(applied)}`);
    });
    say('waiting');
  },
  'await a lock': async (file) => {
    void FileLock.acquire(`${file}.lock`).then(() => {
      say('locked');
    });
    await tick();
    say('waiting');
  },
  reject: async (file) => {
    void putAll(await JsonFileStore.open(file), 'put');
    throw new Error('on purpose');
  },
  'tryPut and putMany, then exit': async (file) => {
    const store = await JsonFileStore.open(file);
    const entries = Array.from({ length: PUTS - 1 }, (_, index) => {
      return [ResumeKey.named(`put ${index}`), { lastCommittedSequence: index }] as const;
    });
    void store.putMany(entries);
    void store.tryPut(ResumeKey.named(`put ${PUTS - 1}`), { lastCommittedSequence: PUTS - 1 });
    process.exit(0);
  },
  'put in an exit handler': async (file) => {
    const store = await JsonFileStore.open(file);
    process.on('exit', () => void putAll(store, 'put'));
    process.exit(0);
  },
  'putSync in an exit handler': async (file) => {
    const store = await JsonFileStore.open(file);
    process.on('exit', () => {
      for (let index = 0; index < PUTS; index += 1) {
        store.putSync(ResumeKey.named(`put ${index}`), { lastCommittedSequence: index });
      }
    });
    process.exit(0);
  },
  'exit while the lock is held': async (file) => {
    void putAll(await JsonFileStore.open(file, { exitDrainMs: 50 }), 'put');
    process.exit(0);
  },
  'write a file and exit': (file) => {
    void writeFileAtomic(file, 'content');
    process.exit(0);
  },
  collect: async (file) => {
    const gc = globalThis.gc;
    if (gc === undefined) throw new Error('needs --expose-gc');
    const stores = await Promise.all(
      Array.from({ length: 20 }, (_, index) => stages.openAndForget(`${file}.${index}`)),
    );
    // What a WeakRef answered stays alive until its job ends: collect in another job.
    const left = (): number => stores.filter((store) => store.deref() !== undefined).length;
    for (let round = 0; round < 2000 && left() + threads('tidemark-commit') > 0; round += 1) {
      await after(5);
      gc();
      await after(5);
    }
    say(`left: ${left()} ${threads('tidemark-commit')}`);
  },
};

await stages.run(STAGES);
