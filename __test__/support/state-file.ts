// The JSON state file as another program reads and writes it; docs/format/state-file.md.
import { renameSync, writeFileSync } from 'node:fs';
import type { ResumeKey } from '../../index.ts';

/** The text of a state file: sequences, or sequences with ids, by key. */
export function stateText(
  entries: readonly (readonly [ResumeKey, bigint, (string | null)?])[],
): string {
  const sorted = [...entries].sort(([a], [b]) => (a.hex < b.hex ? -1 : 1));
  const texts = sorted.map(
    ([key, sequence, id]) =>
      `    "${key.hex}": {\n      "last_committed_sequence": ${sequence},\n` +
      `      "last_event_id": ${JSON.stringify(id ?? null)}\n    }`,
  );
  const checkpoints = texts.length === 0 ? '{}' : `{\n${texts.join(',\n')}\n  }`;
  return `{\n  "version": 1,\n  "key_format_version": 1,\n  "checkpoints": ${checkpoints}\n}`;
}

/** Replaces a file in one step, as every program that knows the format does. */
export function replaceFile(file: string, text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}
