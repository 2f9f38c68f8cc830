// An open log in the addon: its handle, what is on its way into it, and its end.
import type { EventEmitter } from 'node:events';
import type { ExternalObject, Failure, WalHandle, WalInfo, WalOptions } from '#binding';
import { closedError } from './errors.ts';
import { type Settlement, type StoreListener, hub } from './hub.ts';
import { native } from './native.ts';
import { closing, opening, warnOf } from './opening.ts';
import { emitEvent } from './store-events.ts';
import { type Submission, Submissions } from './submissions.ts';

type Handle = ExternalObject<WalHandle>;

/** Opens a log through the binding. */
export async function openWal(
  path: string,
  options: WalOptions,
  signal: AbortSignal | undefined,
): Promise<OpenWal> {
  const start = (ticket: number): void => {
    native.walOpen(hub.native, ticket, path, options);
  };
  const late = ([handle]: readonly unknown[], ticket: number): void => {
    native.walClose(handle as Handle, ticket);
  };
  const { id, payload } = await opening(start, late, signal);
  return new OpenWal(id, payload[0] as Handle);
}

/** An open log. */
export class OpenWal {
  readonly info: WalInfo;
  readonly #id: number;
  readonly #handle: Handle;
  readonly #submissions: Submissions;
  /** What the hub tells; kept here, because the hub does not keep it. */
  #listener: StoreListener | undefined;
  #closing: Promise<void> | undefined;

  constructor(id: number, handle: Handle) {
    this.#id = id;
    this.#handle = handle;
    this.info = native.walInfo(handle);
    this.#submissions = new Submissions('the log', (ticket) => native.walWithdraw(handle, ticket));
    warnOf(this.info.weakness);
  }

  /** Tells of its events from now on. */
  tell(emitter: EventEmitter): void {
    this.#listener = {
      event: (name, details) => {
        emitEvent(emitter, name, details);
      },
      credit: () => {
        this.#submissions.credit();
      },
    };
    hub.listen(this.#id, this.#listener);
  }

  /** The handle; fails once it is closed. */
  get handle(): Handle {
    if (this.#closing !== undefined) throw closedError('the log');
    return this.#handle;
  }

  /** Hands an operation over, waiting for room, and waits for what it comes to. */
  submit(submission: Submission, signal?: AbortSignal): Promise<Settlement> {
    return this.#submissions.submit(submission, signal);
  }

  /** Hands an operation over if there is room; what it will come to, or null. */
  trySubmit(handOver: (ticket: number) => boolean | Failure): Promise<Settlement> | null {
    return this.#submissions.trySubmit(handOver);
  }

  /** Runs a job that needs no room, and counts it. */
  run(start: (ticket: number) => void): Promise<readonly unknown[]> {
    return this.#submissions.run({ start, withdraw: () => false }, undefined);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  closeSync(): void {
    this.#closing ??= Promise.resolve();
    this.#submissions.rejectWaiting();
    native.walCloseSync(this.#handle);
    hub.unlisten(this.#id);
  }

  async #close(): Promise<void> {
    await this.#submissions.close();
    await closing(this.#id, (ticket) => {
      native.walClose(this.#handle, ticket);
    });
  }
}
