// What a store tells without being asked, from the binding's form; see crates/node/src/payload.rs.
import type { Failure } from '#binding';
import { TidemarkError, toError } from './errors.ts';
import { checkpointAt } from './records.ts';
import { keyOf } from './resume-key.ts';

/** A store of any kind; each hears of its own events only. */
interface Emitter {
  emit(event: string, ...details: unknown[]): boolean;
}

/** Emits an event as users know it; one that this version does not know is not told. */
export function emitEvent(store: Emitter, name: string, details: readonly unknown[]): void {
  switch (name) {
    case 'regressed': {
      const to = details.length > 3 ? checkpointAt(details, 3) : undefined;
      const key = keyOf(details[0] as Uint8Array);
      store.emit('regressed', { key, from: checkpointAt(details, 1), to });
      break;
    }
    case 'quarantined': {
      const [path, quarantine] = details as [string, string];
      store.emit('quarantined', { path, quarantine });
      break;
    }
    case 'noSpace':
    case 'poisoned': {
      const error = toError(details[0] as Failure);
      if (error instanceof TidemarkError) store.emit(name, error);
      break;
    }
    case 'slowSync':
      store.emit('slowSync', { durationMs: details[0] as number });
      break;
    default:
      break;
  }
}
