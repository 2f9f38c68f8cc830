// Waiting where there is nothing to await.
import { setImmediate as tick, setTimeout as after } from 'node:timers/promises';

const POLLS_MAX = 6000;
const POLL_MS = 5;

/** Polls until something holds; fails after about half a minute. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let polls = 0; polls < POLLS_MAX; polls += 1) {
    if (await holds()) return;
    await after(POLL_MS);
  }
  throw new Error(`waited in vain until ${what}`);
}

/** Lets the event loop turn. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await tick();
}

/** Whether a promise is settled by now. */
export async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  const first = promise.then(
    () => undefined,
    () => undefined,
  );
  return (await Promise.race([first, tick(pending)])) !== pending;
}

/** What a promise rejects with, whatever it is; fails if it resolves. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  const resolved = Symbol('resolved');
  const outcome = await promise.then(
    () => resolved,
    (reason: unknown) => reason,
  );
  if (outcome === resolved) throw new Error('resolved, and should have rejected');
  return outcome;
}
