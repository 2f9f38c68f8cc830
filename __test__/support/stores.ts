// Every kind of checkpoint store, for the specs that all of them must pass.
import path from 'node:path';
import type { ExecutionContext, TestFn } from 'ava';
import { type CheckpointStore, FileLock, JsonFileStore, MemoryStore } from '../../index.ts';
import { allAsleep } from './process-state.ts';
import { tempDir } from './temp-dir.ts';
import { until } from './wait.ts';

/** A store that one test has open. */
export interface OpenedStore<Store extends CheckpointStore = CheckpointStore> {
  readonly store: Store;
  /**
   * Keeps the store from committing until what it resolves to is called. Where nothing can, its
   * thread sleeps by then, and is woken at the end of a tick: what a test needs to be queued must
   * be put in the tick in which this resolves.
   */
  readonly hold: () => Promise<() => void>;
}

/** A kind of checkpoint store. */
export interface StoreKind {
  readonly name: string;
  /** Whether keys keep their names. */
  readonly keepsNames: boolean;
  /** Whether `hold` can keep it from committing for longer than a tick. */
  readonly holds: boolean;
  readonly open: (t: ExecutionContext) => Promise<OpenedStore>;
}

/** Opens a JSON store in a directory of its own. */
export async function openJson(
  t: ExecutionContext,
): Promise<OpenedStore<JsonFileStore> & { readonly file: string }> {
  const file = path.join(tempDir(t), 'state.json');
  const store = await JsonFileStore.open(file);
  t.teardown(() => store.close());
  const hold = async (): Promise<() => void> => {
    const lock = await FileLock.acquire(`${file}.lock`);
    return () => {
      lock.release();
    };
  };
  return { store, hold, file };
}

async function openMemory(t: ExecutionContext): Promise<OpenedStore<MemoryStore>> {
  const store = await MemoryStore.open();
  t.teardown(() => store.close());
  const hold = async (): Promise<() => void> => {
    await until(allAsleep, 'the store sleeps');
    return () => undefined;
  };
  return { store, hold };
}

/** Every kind. */
export const STORE_KINDS: readonly StoreKind[] = [
  { name: 'MemoryStore', keepsNames: true, holds: false, open: openMemory },
  { name: 'JsonFileStore', keepsNames: false, holds: true, open: openJson },
];

/** Declares a test once for every kind of store that fits. */
export function forEachStore(
  declare: TestFn,
  fits: (kind: StoreKind) => boolean = () => true,
): (title: string, run: (t: ExecutionContext, kind: StoreKind) => Promise<void>) => void {
  return (title, run) => {
    for (const kind of STORE_KINDS.filter(fits)) {
      declare(`${kind.name}: ${title}`, (t) => run(t, kind));
    }
  };
}

/** Everything that a store lists. */
export async function listed<T>(entries: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const entry of entries) all.push(entry);
  return all;
}
