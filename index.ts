/**
 * Durable state for Node.js services, with no server to run.
 *
 * @packageDocumentation
 */
export { TidemarkError, isTidemarkError } from './src/errors.ts';
export type { ErrorCode, ErrorDetails } from './src/errors.ts';
export type {
  Checkpoint,
  CheckpointInput,
  CheckpointStore,
  DeleteOutcome,
  Durability,
  LatencySummary,
  Metrics,
  PutResult,
  RecoveryReport,
  StoreEvents,
} from './src/checkpoint-store.ts';
export { FileLock } from './src/file-lock.ts';
export type { FileLockOptions, FileLockTryOptions } from './src/file-lock.ts';
export { JsonFileStore } from './src/json-file-store.ts';
export type { JsonFileStoreOptions } from './src/json-file-store.ts';
export { MemoryStore } from './src/memory-store.ts';
export { ResumeKey } from './src/resume-key.ts';
export type { JsonValue, ResumeKeySource } from './src/resume-key.ts';
export { Wal } from './src/wal.ts';
export type { WalEvents } from './src/wal-events.ts';
export type {
  WalAppendManyOptions,
  WalAppendOptions,
  WalCallSync,
  WalIterateOptions,
  WalOptions,
  WalRange,
  WalRecoveryReport,
  WalSync,
  WalVisibility,
} from './src/wal-options.ts';
export type { WalLoop } from './src/wal-iterator.ts';
export type { Entry } from './src/wal-records.ts';
export { writeFileAtomic } from './src/write-file-atomic.ts';
export type { WriteFileAtomicOptions } from './src/write-file-atomic.ts';
