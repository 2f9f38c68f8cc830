// Checkpoints as bytes on their way through the binding; see crates/node/src/checkpoint_store.rs.
import { Buffer } from 'node:buffer';
import type { Checkpoint, CheckpointInput, PutResult } from './checkpoint-store.ts';
import { rangeError, typeError } from './errors.ts';
import { type ResumeKey, keyDigest, keyOf } from './resume-key.ts';
import * as validate from './validate.ts';

const DIGEST_BYTES = 32;
const PUT_BYTES = DIGEST_BYTES + 8;
const DELETE_BYTES = PUT_BYTES + 1;
const EVENT_ID_BYTES_MAX = 64 * 1024;

/** Packed records and the texts that belong to them. */
export interface Packed {
  readonly records: Uint8Array;
  readonly texts: (string | undefined)[];
}

function eventId(value: unknown): string | undefined {
  if (value === null || value === undefined) return undefined;
  const id = validate.text(value, 'lastEventId');
  // A code unit has at most three bytes: most ids need not be measured.
  if (id.length * 3 > EVENT_ID_BYTES_MAX && Buffer.byteLength(id) > EVENT_ID_BYTES_MAX) {
    throw rangeError(`lastEventId must have at most ${EVENT_ID_BYTES_MAX} bytes of UTF-8`);
  }
  return id;
}

/** The pairs that an iterable lists; refuses anything else. */
export function pairs<T extends readonly unknown[]>(entries: Iterable<T>): T[] {
  const given: unknown = entries;
  if (typeof given !== 'object' || given === null || !(Symbol.iterator in given)) {
    throw typeError('the entries must be an iterable of [key, checkpoint]');
  }
  const list = [...entries];
  if (list.every((entry: unknown) => Array.isArray(entry))) return list;
  throw typeError('each of the entries must be [key, checkpoint]');
}

/** Packs puts; refuses what no store takes. */
export function packPuts(entries: readonly (readonly [ResumeKey, CheckpointInput])[]): Packed {
  const records = new Uint8Array(entries.length * PUT_BYTES);
  const view = new DataView(records.buffer);
  const texts: (string | undefined)[] = [];
  entries.forEach(([key, checkpoint], index) => {
    const offset = index * PUT_BYTES;
    records.set(keyDigest(key), offset);
    if (typeof (checkpoint as unknown) !== 'object' || (checkpoint as unknown) === null) {
      throw typeError('the checkpoint must be { lastCommittedSequence, lastEventId }');
    }
    const sequence = validate.uint64(checkpoint.lastCommittedSequence, 'lastCommittedSequence');
    view.setBigUint64(offset + DIGEST_BYTES, sequence, true);
    texts.push(eventId(checkpoint.lastEventId), key.name);
  });
  return { records, texts };
}

/** What must hold for a delete: nothing, a sequence not passed, or a checkpoint unchanged. */
export type DeleteCondition = undefined | bigint | Checkpoint;

/** Packs deletes. */
export function packDeletes(entries: readonly (readonly [ResumeKey, DeleteCondition])[]): Packed {
  const records = new Uint8Array(entries.length * DELETE_BYTES);
  const view = new DataView(records.buffer);
  const texts: (string | undefined)[] = [];
  entries.forEach(([key, condition], index) => {
    const offset = index * DELETE_BYTES;
    records.set(keyDigest(key), offset);
    const unchanged = typeof condition === 'object' ? condition : undefined;
    const sequence = unchanged?.lastCommittedSequence ?? (condition as bigint | undefined) ?? 0n;
    view.setBigUint64(offset + DIGEST_BYTES, sequence, true);
    view.setUint8(
      offset + PUT_BYTES,
      condition === undefined ? 0 : unchanged === undefined ? 1 : 2,
    );
    texts.push(unchanged?.lastEventId ?? undefined);
  });
  return { records, texts };
}

/** The results of puts: applied, sequence and event id of each. */
export function unpackPuts(payload: readonly unknown[]): PutResult[] {
  const results: PutResult[] = [];
  for (let index = 0; index + 2 < payload.length; index += 3) {
    results.push({ applied: payload[index] === true, current: checkpointAt(payload, index + 1) });
  }
  return results;
}

/** The checkpoint at an index of a payload: sequence and event id. */
export function checkpointAt(payload: readonly unknown[], index: number): Checkpoint {
  return {
    lastCommittedSequence: payload[index] as bigint,
    lastEventId: payload[index + 1] as string | null,
  };
}

/** Every checkpoint of a payload: all digests, then sequence, event id and name of each. */
export function unpackEntries(payload: readonly unknown[]): [ResumeKey, Checkpoint][] {
  const digests = payload[0] as Uint8Array;
  const entries: [ResumeKey, Checkpoint][] = [];
  for (let index = 1; index + 2 < payload.length; index += 3) {
    const offset = entries.length * DIGEST_BYTES;
    const name = payload[index + 2] as string | null;
    const digest = digests.slice(offset, offset + DIGEST_BYTES);
    entries.push([keyOf(digest, name ?? undefined), checkpointAt(payload, index)]);
  }
  return entries;
}

/** A record that looks keys up, used again and again. */
export class Lookup {
  readonly record: Uint8Array = new Uint8Array(PUT_BYTES);
  readonly #view = new DataView(this.record.buffer);

  /** Asks for a key. */
  ask(key: ResumeKey): Uint8Array {
    this.record.set(keyDigest(key));
    return this.record;
  }

  /** The sequence that was answered. */
  get sequence(): bigint {
    return this.#view.getBigUint64(DIGEST_BYTES, true);
  }
}
