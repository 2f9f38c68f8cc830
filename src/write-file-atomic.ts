import { Buffer } from 'node:buffer';
import { isUint8Array } from 'node:util/types';
import { typeError } from './errors.ts';
import { hub, perform } from './hub.ts';
import { native } from './native.ts';
import * as validate from './validate.ts';

/** How to write a file with {@link writeFileAtomic}. */
export interface WriteFileAtomicOptions {
  /** Permission bits; without them an existing file keeps its mode and a new one gets 0o600. */
  readonly mode?: number;
  /** Whether to sync file and directory: true. Without it a power cut may undo the write. */
  readonly durable?: boolean;
  /** Gives up while the write has not begun. */
  readonly signal?: AbortSignal;
}

/**
 * Replaces the content of a file in one step, or makes it: readers see the old content or the new,
 * never a mixture, also after a power cut. A symbolic link is followed to its target; the owner
 * stays where that is permitted.
 *
 * Resolves when the new content is durable, unless `durable` is false.
 *
 * @param path - The file; its directory must exist.
 * @param data - The new content; a string is written as UTF-8. Copied before the call returns.
 * @param options - How to write it.
 * @throws TypeError or RangeError code TIDEMARK_INVALID_ARGUMENT; TidemarkError code
 * TIDEMARK_NO_SPACE, TIDEMARK_IO, the latter with `indeterminate: true` if the new content is there
 * but may not survive a power cut. An aborted call rejects with the signal's reason.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options?: WriteFileAtomicOptions,
): Promise<void> {
  const known = ['mode', 'durable', 'signal'] as const;
  const given = validate.options<WriteFileAtomicOptions>(options, 'the options', known);
  const file = validate.text(path, 'the path');
  const bytes = toBytes(data);
  const durable = validate.flag(given.durable, 'durable', true);
  const { mode } = given;
  validate.integer(mode, 'mode', { max: 0o777, otherwise: 0o600 });
  const operation = {
    start(ticket: number): void {
      native.writeFileAtomic(hub.native, ticket, file, bytes, mode, durable);
    },
    withdraw: (ticket: number) => hub.native.withdraw(ticket),
  };
  await perform(operation, validate.signal(given.signal));
}

function toBytes(data: unknown): Uint8Array {
  if (typeof data === 'string') return Buffer.from(validate.text(data, 'the data'));
  // By what it is, not by its prototype: one of another realm is one, a proxy is none.
  if (isUint8Array(data)) return data;
  throw typeError('the data must be a string or a Uint8Array');
}
