// What was accepted, journaled outside of whoever accepted it, and looked for after reopening. A
// line is written when the native call has returned, before anything else is done: what is in the
// journal must be found. What was accepted right before an end need not be in it.
import { Buffer } from 'node:buffer';
import { openSync, readFileSync, writeSync } from 'node:fs';
import { JsonFileStore, ResumeKey, Wal } from '../../index.ts';

/** A kind of store that accepts changes. */
export interface Kind<Store extends Opened = Opened> {
  open(place: string, exitDrainMs: number): Promise<Store>;
  /** Hands a change over that tells its name; null if there is no room. */
  accept(store: Store, name: string): Promise<unknown> | null;
  /** Which of these changes a store does not have. */
  missing(place: string, names: readonly string[]): Promise<string[]>;
}

/** What every open store has. */
export interface Opened {
  close(): Promise<void>;
  closeSync(): void;
}

const json: Kind<JsonFileStore> = {
  open: (file, exitDrainMs) => JsonFileStore.open(file, { exitDrainMs }),
  accept: (store, name) => store.tryPut(ResumeKey.named(name), { lastCommittedSequence: 1n }),
  missing: async (file, names) => {
    const store = await JsonFileStore.open(file);
    const lost = names.filter((name) => store.getSync(ResumeKey.named(name)) === undefined);
    await store.close();
    return lost;
  },
};

/** Small: many logs are made, and all of a segment is written when it is. */
export const SEGMENT_BYTES: number = 32 << 10;

const log: Kind<Wal> = {
  open: (directory, exitDrainMs) =>
    Wal.open(directory, { exitDrainMs, segmentBytes: SEGMENT_BYTES }),
  accept: (wal, name) => wal.tryAppend(Buffer.from(name)),
  missing: async (directory, names) => {
    const wal = await Wal.open(directory, { segmentBytes: SEGMENT_BYTES });
    const found = new Set<string>();
    for await (const entries of wal.iterate()) {
      for (const { data } of entries) found.add(Buffer.from(data).toString());
    }
    await wal.close();
    return names.filter((name) => !found.has(name));
  },
};

/** The kinds, by the name that the journal has for them. */
export const KINDS: { readonly json: Kind<JsonFileStore>; readonly log: Kind<Wal> } = { json, log };
export type KindName = keyof typeof KINDS;
export const KIND_NAMES: readonly KindName[] = ['json', 'log'];

/** A kind for whoever treats all alike. */
export const kindOf = (name: KindName): Kind => KINDS[name];

/** The end of a journal that is written to. */
export class Journal {
  readonly descriptor: number;

  /** @param file - Its file, or its descriptor: the threads of a process share one. */
  constructor(file: string | number) {
    this.descriptor = typeof file === 'number' ? file : openSync(file, 'a');
  }

  /** Hands changes over, and journals those that were accepted. */
  accept(name: KindName, place: string, store: Opened, changes: readonly string[]): void {
    for (const change of changes) {
      const settled = kindOf(name).accept(store, change);
      if (settled === null) continue;
      writeSync(this.descriptor, `${name}\t${place}\t${change}\n`);
      // What becomes of it, its end may never tell.
      settled.catch(() => undefined);
    }
  }
}

/** What a journal tells that the stores do not have, and how much it tells. */
export async function lostOf(journal: string): Promise<{ lost: string[]; accepted: number }> {
  const lines = readFileSync(journal, 'utf8').split('\n');
  const stores = new Map<string, string[]>();
  for (const line of lines.filter((text) => text !== '')) {
    const [kind = '', place = '', change = ''] = line.split('\t');
    const store = `${kind}\t${place}`;
    stores.set(store, [...(stores.get(store) ?? []), change]);
  }
  const lost: string[] = [];
  for (const [store, changes] of stores) {
    const [kind = '', place = ''] = store.split('\t');
    const missing = await kindOf(kind as KindName).missing(place, changes);
    lost.push(...missing.map((change) => `${store} ${change}`));
  }
  return { lost, accepted: lines.length - 1 };
}
