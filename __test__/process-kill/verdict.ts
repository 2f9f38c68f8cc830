// What a store may hold after a history, with every writer dead.
//
// Operations overlap, and those without an answer may or may not have taken effect; whatever order
// can explain what was found is accepted, and nothing else:
//
// - PK-1 A value that is found was put by somebody, with that sequence.
// - PK-2 A put that was answered is found, or a larger sequence, unless a delete may have followed
//   it; then what is found may have followed that delete.
// - PK-3 A delete that was answered holds: what is found was put by somebody who may have followed.
// - PK-4 A key does not vanish unless somebody deleted it.
// - PK-5 What is put as one is there as one: keys that are only ever put together are equal.
import type { Attempt, History, Value } from './history.ts';

/** Checkpoints by key. */
export type Found = ReadonlyMap<string, Value>;

const describe = (value: Value | undefined): string =>
  value === undefined ? 'nothing' : `${value.sequence} (${value.id ?? 'null'})`;

/** Everything that is wrong with what was found after a history. */
export function judge(history: History, found: Found): string[] {
  const complaints = [...found]
    .filter(([key]) => !history.attempts.has(key))
    .map(([key, value]) => `PK-1: key ${key}: ${describe(value)} was put by nobody`);
  for (const [key, attempts] of history.attempts) {
    const wrong = judgeKey(history, attempts, key, found.get(key));
    if (wrong !== undefined) complaints.push(`${wrong}; found ${describe(found.get(key))}`);
  }
  return complaints;
}

function judgeKey(
  history: History,
  attempts: readonly Attempt[],
  key: string,
  value: Value | undefined,
): string | undefined {
  const by = value === undefined ? undefined : history.find(key, value);
  if (value !== undefined && by === undefined) return `PK-1: key ${key} was put so by nobody`;
  // The deletes that what is found may have followed; if nothing is found, any may be the last.
  const lastBefore = by === undefined ? Infinity : by.end;
  let deletedUntil = -Infinity;
  for (const { sequence, start, end, answer } of attempts) {
    if (sequence !== undefined || answer === 'absent') continue;
    if (start < lastBefore) deletedUntil = Math.max(deletedUntil, end);
  }
  for (const attempt of attempts) {
    const { sequence, answer, start, writer, op } = attempt;
    if (answer === undefined) continue;
    if (sequence === undefined) {
      const resurrected = by !== undefined && by.end < start;
      if (resurrected) return `PK-3: key ${key} was deleted by ${writer} ${op} after that`;
    } else if (start > deletedUntil && !(value !== undefined && value.sequence >= sequence)) {
      const rule = value === undefined ? 'PK-4' : 'PK-2';
      return `${rule}: key ${key}: ${sequence} by ${writer} ${op} was acknowledged, and is gone`;
    }
  }
  return undefined;
}

/** Keys that are put together, and yet differ. */
export function torn(found: Found, together: readonly (readonly string[])[]): string[] {
  return together.flatMap((keys) => {
    const sequences = new Set(keys.map((key) => found.get(key)?.sequence));
    return sequences.size > 1 ? [`PK-5: keys ${keys.join(' and ')} differ`] : [];
  });
}

/**
 * What went back between two looks, for keys that nobody deletes.
 * @param acknowledged what was acknowledged before the second look began
 */
export function wentBack(
  before: Found,
  after: Found,
  acknowledged: ReadonlyMap<string, number>,
  deletable: ReadonlySet<string>,
): string[] {
  const lowest = new Map(acknowledged);
  for (const [key, { sequence }] of before) {
    lowest.set(key, Math.max(sequence, lowest.get(key) ?? 0));
  }
  return [...lowest].flatMap(([key, sequence]) => {
    if (deletable.has(key) || (after.get(key)?.sequence ?? -1) >= sequence) return [];
    return [`PK-2: key ${key} stood at ${sequence}; now ${describe(after.get(key))}`];
  });
}
