// The JSON state file as another program reads and writes it; docs/format/state-file.md.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
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

/** A checkpoint of a state file, as JSON has it. */
interface Member {
  readonly last_committed_sequence: number;
  readonly last_event_id: string | null;
}

/**
 * What a state file holds, by hex key, read by another decoder than the library's; undefined if
 * there is none. For sequences that a double can hold.
 */
export function readState(
  file: string,
): Map<string, { readonly sequence: number; readonly id: string | null }> | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const parsed = JSON.parse(text) as Record<string, unknown>;
  if (parsed['version'] !== 1 || parsed['key_format_version'] !== 1) {
    throw new Error(`not a state file: ${text.slice(0, 80)}`);
  }
  const entries = Object.entries(parsed['checkpoints'] as Record<string, Member>);
  return new Map(
    entries.map(([hex, { last_committed_sequence: sequence, last_event_id: id }]) => [
      hex,
      { sequence, id },
    ]),
  );
}
