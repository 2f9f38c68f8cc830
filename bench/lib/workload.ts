// What everybody puts: 1,000 keys in turn, each put a higher sequence with its event id.
import type { CheckpointInput, ResumeKey as Key } from '../../index.ts';
import { ResumeKey } from './published.ts';

/** How many keys the file holds. */
export const KEY_COUNT = 1000;

/** The keys; the runner of the aviso crate derives the same. */
export const KEYS: readonly Key[] = Array.from({ length: KEY_COUNT }, (_, n) =>
  ResumeKey.derive({ baseUrl: 'https://bench.example/', eventType: 'bench', filter: { n } }),
);

let sequence = 1n << 32n;

/** The next key, and what to put to it. */
export function next(): [Key, CheckpointInput & { readonly lastEventId: string }] {
  sequence += 1n;
  const key = KEYS[Number(sequence % BigInt(KEY_COUNT))] as Key;
  return [key, { lastCommittedSequence: sequence, lastEventId: `bench@${sequence}` }];
}

/** One put to each key. */
export const all = (): ReturnType<typeof next>[] => KEYS.map(() => next());
