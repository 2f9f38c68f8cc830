// Another process that uses the stores: does what its parent asks for, one message at a time.
import process from 'node:process';
import { setImmediate as tick } from 'node:timers/promises';
import { FileLock, JsonFileStore, ResumeKey, writeFileAtomic } from '../../index.ts';
import type { Checkpoint, DeleteOutcome, JsonFileStoreOptions, PutResult } from '../../index.ts';

const warnings: string[] = [];
const stores = new Map<string, JsonFileStore>();
const locks = new Map<string, FileLock>();

function store(file: string): JsonFileStore {
  const found = stores.get(file);
  if (found === undefined) throw new Error(`${file} is not open`);
  return found;
}

/** What an agent can be asked for. */
const TASKS = {
  async open(file: string, options?: JsonFileStoreOptions): Promise<void> {
    stores.set(file, await JsonFileStore.open(file, options));
  },
  put(file: string, name: string, sequence: bigint, id?: string): Promise<PutResult> {
    const checkpoint = { lastCommittedSequence: sequence, lastEventId: id ?? null };
    return store(file).put(ResumeKey.named(name), checkpoint);
  },
  get(file: string, name: string): Promise<Checkpoint | undefined> {
    return store(file).get(ResumeKey.named(name), { fresh: true });
  },
  delete(file: string, name: string): Promise<DeleteOutcome> {
    return store(file).delete(ResumeKey.named(name));
  },
  /** The codes of the warnings that this process emitted. */
  async warnings(): Promise<string[]> {
    await tick();
    return warnings;
  },
  async close(file: string): Promise<void> {
    await store(file).close();
    stores.delete(file);
  },
  async lock(file: string, mode?: 'exclusive' | 'shared'): Promise<void> {
    locks.set(file, await FileLock.acquire(file, { mode: mode ?? 'exclusive' }));
  },
  tryLock(file: string, mode?: 'exclusive' | 'shared'): Promise<boolean> {
    const lock = FileLock.tryAcquire(file, { mode: mode ?? 'exclusive' });
    if (lock !== null) locks.set(file, lock);
    return Promise.resolve(lock !== null);
  },
  unlock(file: string): Promise<void> {
    locks.get(file)?.release();
    return Promise.resolve();
  },
  async writeMany(file: string, contents: readonly string[]): Promise<void> {
    await Promise.all(contents.map((content) => writeFileAtomic(file, content)));
  },
};

/** The tasks of an agent, by name. */
export type Tasks = typeof TASKS;

/** What comes back for a task. */
export type Answer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly message: string };

type Question = { readonly id: number; readonly task: keyof Tasks; readonly args: unknown[] };

async function answer({ id, task, args }: Question): Promise<Answer> {
  try {
    const tasks = TASKS as Record<string, (...args: unknown[]) => Promise<unknown>>;
    return { id, ok: true, value: await tasks[task]?.(...args) };
  } catch (error) {
    return { id, ok: false, message: String(error) };
  }
}

// Imported for its types alone, it is nobody's agent.
if (process.argv[2] === 'agent') {
  process.on('warning', (warning: Error & { code?: string }) => {
    warnings.push(warning.code ?? warning.name);
  });
  process.on('message', (question: Question) => {
    void answer(question).then((reply) => process.send?.(reply));
  });
  process.on('disconnect', () => process.exit(0));
}
