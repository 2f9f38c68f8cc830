// Stores and locks that are open, that have accepted changes, and that nothing refers to any more.
// Needs --expose-gc. Arguments: the directory of the stores, and the journal. Prints what is left.
import process from 'node:process';
import { setImmediate as tick } from 'node:timers/promises';
import { FileLock } from '../../index.ts';
import { openIn, threads } from '../support/process-state.ts';
import { until } from '../support/wait.ts';
import { Journal, KIND_NAMES, type KindName, kindOf } from './accepted.ts';

const [directory = '', file = ''] = process.argv.slice(2);
const journal = new Journal(file);
const gc = globalThis.gc;
if (gc === undefined) throw new Error('needs --expose-gc');
/** Of each. */
const EACH = 8;
const DRAIN_MS = 60_000;
const lockFile = (index: number): string => `${directory}/${index}.lock`;

async function openAndForget(name: KindName, index: number): Promise<WeakRef<object>> {
  const place = `${directory}/${name}-${index}`;
  const store = await kindOf(name).open(place, DRAIN_MS);
  journal.accept(
    name,
    place,
    store,
    Array.from({ length: 20 }, (_, change) => `change ${change}`),
  );
  return new WeakRef(store);
}

function lockAndForget(index: number): WeakRef<object> {
  const lock = FileLock.tryAcquire(lockFile(index));
  if (lock === null) throw new Error('somebody else has the lock');
  return new WeakRef(lock);
}

const forgotten: WeakRef<object>[] = [];
for (let index = 0; index < EACH; index += 1) {
  forgotten.push(lockAndForget(index));
  for (const name of KIND_NAMES) forgotten.push(await openAndForget(name, index));
}
// What a WeakRef answered stays alive until its job ends: collect in another job.
const alive = (): number => forgotten.filter((one) => one.deref() !== undefined).length;
await until(async () => {
  await tick();
  gc();
  return alive() === 0 && openIn(directory).length === 0 && threads('tidemark-commit') === 0;
}, 'everything is given back').catch(() => undefined);
const again = Array.from({ length: EACH }, (_, index) => FileLock.tryAcquire(lockFile(index)));
const locked = again.filter((lock) => lock === null).length;
for (const lock of again) lock?.release();
const left = { alive: alive(), open: openIn(directory), threads: threads('tidemark-commit') };
process.stdout.write(JSON.stringify({ ...left, locked }));
