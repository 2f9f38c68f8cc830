import type { TidemarkError } from './errors.ts';

/** What a log tells without being asked. */
export interface WalEvents {
  /** A torn tail was moved aside when the log was opened: told once listeners can be there. */
  quarantined: [
    {
      /** The directory of the log. */
      path: string;
      /** The file that has the bytes now. */
      quarantine: string;
    },
  ];
  /** The outcome of a write is unknown; the log takes nothing more until opened again. */
  poisoned: [error: TidemarkError];
  /** The device is full: told once, until there was room again. */
  noSpace: [error: TidemarkError];
  /**
   * The medium took longer than a second to sync: a commit, the end of a segment, or what proves a
   * purge. What is synced while the log is opened, or in the background, is not told.
   */
  slowSync: [
    {
      /** How long it took, in milliseconds. */
      durationMs: number;
    },
  ];
}
