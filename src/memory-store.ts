import { hub } from './hub.ts';
import { NativeCheckpointStore } from './native-checkpoint-store.ts';
import { native } from './native.ts';
import * as validate from './validate.ts';

/** Checkpoints in memory, for tests: the same interface, and nothing survives the process. */
export class MemoryStore extends NativeCheckpointStore {
  /** Opens an empty store; each one is its own. */
  static async open(): Promise<MemoryStore> {
    const start = (ticket: number): void => {
      native.memoryStoreOpen(hub.native, ticket);
    };
    return new MemoryStore(validate.ours, await NativeCheckpointStore.opening(start, undefined));
  }

  protected override checkPrefix(): void {
    // Names are kept: any prefix will do.
  }
}
