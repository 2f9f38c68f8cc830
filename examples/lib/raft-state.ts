// The state machine that the nodes replicate: a digest of all commands in their order. Two that
// have applied the same number of commands have the same state only if those were the same.
import { createHash } from 'node:crypto';

/** The state after one command more. */
export function stateAfter(state: string, command: Uint8Array): string {
  return createHash('sha256').update(state).update(command).digest('hex');
}
