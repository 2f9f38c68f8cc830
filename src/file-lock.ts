import type { ExternalObject, LockHandle } from '#binding';
import { unwrap } from './errors.ts';
import { hub, perform } from './hub.ts';
import { native } from './native.ts';
import { bindToThread } from './thread-bound.ts';
import * as validate from './validate.ts';

/** How to try a {@link FileLock}. */
export interface FileLockTryOptions {
  /** Alone (`exclusive`, unless given), or beside others that share it. */
  readonly mode?: 'exclusive' | 'shared';
  /** Whether to lock on a file system where another process may not see the lock: false. */
  readonly allowNetworkFs?: boolean;
}

/** How to acquire a {@link FileLock}. */
export interface FileLockOptions extends FileLockTryOptions {
  /** How long to wait, in milliseconds: 10,000 unless given. */
  readonly timeoutMs?: number;
  /** Gives up waiting. */
  readonly signal?: AbortSignal;
}

/**
 * A lock on a file, between processes and within one (`flock`). The kernel frees it when its holder
 * dies: there is no stale lock. A file that does not exist is made (mode 0600), and never removed.
 * On Windows nobody else can read the first byte of a locked file, so lock one that is empty.
 *
 * @example
 * ```ts
 * const lock = await FileLock.acquire('/run/my-service/leader.lock', { timeoutMs: 5000 });
 * try {
 *   // alone
 * } finally {
 *   lock.release();
 * }
 * ```
 */
export class FileLock implements AsyncDisposable {
  readonly #handle: ExternalObject<LockHandle>;

  private constructor(token: symbol, handle: ExternalObject<LockHandle>) {
    validate.calledByUs(token, 'FileLock.acquire(path) or tryAcquire(path)');
    bindToThread(this, 'a lock');
    this.#handle = handle;
  }

  /**
   * Acquires the lock, waiting for it.
   *
   * @param path - The lock file: a regular one, or none.
   * @param options - How to acquire it.
   * @throws TypeError or RangeError code TIDEMARK_INVALID_ARGUMENT; TidemarkError code
   * TIDEMARK_LOCK_TIMEOUT, TIDEMARK_IO, TIDEMARK_UNSUPPORTED on a network file system. An aborted
   * call rejects with the signal's reason.
   */
  static async acquire(path: string, options?: FileLockOptions): Promise<FileLock> {
    const known = ['mode', 'timeoutMs', 'signal', 'allowNetworkFs'] as const;
    const given = validate.options<FileLockOptions>(options, 'the options', known);
    const { file, shared, allowNetworkFs } = validated(path, given);
    const timeoutMs = validate.integer(given.timeoutMs, 'timeoutMs', { otherwise: 10_000 });
    const operation = {
      start(ticket: number): void {
        native.fileLockAcquire(hub.native, ticket, file, shared, timeoutMs, allowNetworkFs);
      },
      withdraw: (ticket: number) => native.fileLockWithdraw(hub.native, ticket),
    };
    const [handle] = await perform(operation, validate.signal(given.signal));
    return new FileLock(validate.ours, handle as ExternalObject<LockHandle>);
  }

  /**
   * Takes the lock if nobody has to be waited for; null otherwise. Looks at the file system
   * synchronously.
   *
   * @param path - The lock file: a regular one, or none.
   * @param options - How to take it.
   * @throws As {@link FileLock.acquire}, but no timeout.
   */
  static tryAcquire(path: string, options?: FileLockTryOptions): FileLock | null {
    const known = ['mode', 'allowNetworkFs'] as const;
    const given = validate.options<FileLockTryOptions>(options, 'the options', known);
    const { file, shared, allowNetworkFs } = validated(path, given);
    const [handle] = unwrap(native.fileLockTryAcquire(hub.native, file, shared, allowNetworkFs));
    return handle === undefined
      ? null
      : new FileLock(validate.ours, handle as ExternalObject<LockHandle>);
  }

  /** Frees the lock; once is enough. */
  release(): void {
    native.fileLockRelease(this.#handle);
  }

  /** As {@link FileLock.release}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.release();
    return Promise.resolve();
  }
}

function validated(
  path: unknown,
  { mode, allowNetworkFs }: FileLockTryOptions,
): { file: string; shared: boolean; allowNetworkFs: boolean } {
  return {
    file: validate.text(path, 'the path'),
    shared: validate.word(mode, 'mode', ['exclusive', 'shared']) === 'shared',
    allowNetworkFs: validate.flag(allowNetworkFs, 'allowNetworkFs', false),
  };
}
