import { TidemarkError } from './errors.ts';
import { hub } from './hub.ts';
import { NativeCheckpointStore } from './native-checkpoint-store.ts';
import { native } from './native.ts';
import * as validate from './validate.ts';

/** How to open a {@link JsonFileStore}. */
export interface JsonFileStoreOptions {
  /** How long an operation waits for the lock, in milliseconds: 10,000 unless given. */
  readonly lockTimeoutMs?: number;
  /** Permission bits of files that are made: 0o600. A file that exists keeps its own. */
  readonly mode?: number;
  /**
   * What to do with a file that cannot be decoded: `refuse` (unless given), or move it aside
   * (`quarantine`) and go on with what this process knows.
   */
  readonly recover?: 'refuse' | 'quarantine';
  /** How long the end of the process waits for what was accepted, in milliseconds: 1,000. */
  readonly exitDrainMs?: number;
  /** Whether to open on a file system whose locks and syncs may not reach the disk: false. */
  readonly allowNetworkFs?: boolean;
  /** Gives up opening. */
  readonly signal?: AbortSignal;
}

const OPTIONS = [
  'lockTimeoutMs',
  'mode',
  'recover',
  'exitDrainMs',
  'allowNetworkFs',
  'signal',
] as const;

/**
 * Checkpoints in one readable JSON file, shared by processes and languages: the state file of the
 * `aviso` client (crates.io, 2.x), which may use it at the same time.
 *
 * N concurrent puts cost one lock, one merge and one replace of the file.
 */
export class JsonFileStore extends NativeCheckpointStore {
  /**
   * Opens the store in a file, which need not exist: the first write makes it. Opened twice in one
   * process, in any worker thread, it is one store.
   *
   * @param path - The file. Symbolic links are resolved once, now. The directory must exist.
   * @param options - How to open it.
   * @throws TypeError or RangeError code TIDEMARK_INVALID_ARGUMENT for a bad option, or a path that
   * cannot be a regular file's; TidemarkError code TIDEMARK_CONFLICT if it is open in this process
   * with other options, TIDEMARK_UNSUPPORTED on a network file system, TIDEMARK_IO,
   * TIDEMARK_DECODE, TIDEMARK_INVALID_RESUME_KEY, TIDEMARK_UNSUPPORTED_FILE_VERSION,
   * TIDEMARK_UNSUPPORTED_KEY_FORMAT_VERSION, TIDEMARK_TOO_LARGE.
   */
  static async open(path: string, options?: JsonFileStoreOptions): Promise<JsonFileStore> {
    const file = validate.text(path, 'the path');
    const given = validate.options<JsonFileStoreOptions>(options, 'the options', OPTIONS);
    const checked = {
      lockTimeoutMs: validate.integer(given.lockTimeoutMs, 'lockTimeoutMs', { otherwise: 10_000 }),
      mode: validate.integer(given.mode, 'mode', { max: 0o777, otherwise: 0o600 }),
      quarantine: validate.word(given.recover, 'recover', ['refuse', 'quarantine']) !== 'refuse',
      exitDrainMs: validate.integer(given.exitDrainMs, 'exitDrainMs', { otherwise: 1000 }),
      allowNetworkFs: validate.flag(given.allowNetworkFs, 'allowNetworkFs', false),
    };
    const start = (ticket: number): void => {
      native.jsonFileStoreOpen(hub.native, ticket, file, checked);
    };
    const signal = validate.signal(given.signal);
    const opened = await NativeCheckpointStore.opening(start, signal);
    const store = new JsonFileStore(validate.ours, opened);
    if (opened.damaged) {
      try {
        await store.repair(signal);
      } catch (error) {
        await store.close();
        throw error;
      }
    }
    return store;
  }

  protected override checkPrefix(): void {
    throw new TidemarkError(
      'TIDEMARK_UNSUPPORTED',
      'a JSON file keeps no names of keys: list all entries, and compare their keys',
    );
  }
}
