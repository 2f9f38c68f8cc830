// What Raft nodes tell each other, and what they tell the run that watches them.
import type { HardState, LogEntry, Place, Snapshot } from '../raft-storage.ts';

/** Between nodes. Each carries the sender's term. */
export type Message =
  | { readonly kind: 'candidate'; readonly term: bigint; readonly last: Place }
  | { readonly kind: 'vote'; readonly term: bigint; readonly granted: boolean }
  | {
      readonly kind: 'append';
      readonly term: bigint;
      readonly previous: Place;
      readonly entries: readonly LogEntry[];
      readonly commit: bigint;
    }
  | { readonly kind: 'install'; readonly term: bigint; readonly snapshot: Snapshot }
  /** `last` is how far the log is known to be the leader's, or where to try again. */
  | { readonly kind: 'have'; readonly term: bigint; readonly ok: boolean; readonly last: bigint };

/** From the run to a node. */
export type Order =
  | { readonly kind: 'message'; readonly from: string; readonly message: Message }
  | { readonly kind: 'propose'; readonly commands: readonly string[] }
  | { readonly kind: 'stop' };

/** From a node to the run. */
export type Report =
  | { readonly kind: 'message'; readonly to: string; readonly message: Message }
  /** It has started, and found this. */
  | {
      readonly kind: 'ready';
      readonly state: HardState;
      readonly snapshot: Place;
      readonly terms: readonly bigint[];
    }
  /** It has applied these entries, the first of them at an index, or a snapshot. */
  | {
      readonly kind: 'applied';
      readonly term: bigint;
      readonly first: bigint;
      readonly entries: readonly LogEntry[];
      readonly state: string;
    };
