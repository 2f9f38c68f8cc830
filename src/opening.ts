// How every kind of store is opened and closed through the binding, and what it warns of.
import process from 'node:process';
import { hub, perform } from './hub.ts';

/** What came back for a store that was opened. Its ticket is its id from then on. */
export interface Opening {
  readonly id: number;
  readonly payload: readonly unknown[];
}

/**
 * Opens a store through the binding.
 *
 * @param start - Hands the request over.
 * @param close - Closes a store that came back after its caller gave up.
 * @param signal - Gives up.
 */
export async function opening(
  start: (ticket: number) => void,
  close: (payload: readonly unknown[], ticket: number) => void,
  signal: AbortSignal | undefined,
): Promise<Opening> {
  let id = 0;
  const operation = {
    start(ticket: number): void {
      id = ticket;
      start(ticket);
    },
    // Opening cannot be taken back; a store that comes too late is closed again.
    withdraw: () => true,
    late(payload: readonly unknown[]): void {
      close(payload, hub.ticket());
    },
  };
  const payload = await perform(operation, signal);
  return { id, payload };
}

/** Closes a store through the binding, and hears of it no more. */
export async function closing(id: number, start: (ticket: number) => void): Promise<void> {
  await perform({ start, withdraw: () => false }, undefined);
  hub.unlisten(id);
}

let warned = false;

/** Warns, once in a process, of a file system that may not keep what is stored. */
export function warnOf(weakness: string | undefined): void {
  if (weakness === undefined || warned) return;
  warned = true;
  process.emitWarning(`what is stored here may not survive a power cut: ${weakness}`, {
    type: 'TidemarkWarning',
    code: 'TIDEMARK_UNPROVEN',
  });
}
