// Worker threads that are terminated in waves, in the midst of all that a store does, while the
// main thread goes on. Arguments: a directory, the journal, the number of waves, a seed. Prints
// what went wrong, and what the process has left that it had not before.
import process from 'node:process';
import { setImmediate as tick } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { FileLock } from '../../index.ts';
import { descriptorsButModules, openIn, ownThreads, taskCount } from '../support/process-state.ts';
import { Random } from '../support/random.ts';
import { until } from '../support/wait.ts';
import { Journal, KIND_NAMES, type Opened, kindOf } from './accepted.ts';
import { type Given, type Mode, MODES, WAVE_WORKERS } from './storm-worker.ts';

const [directory = '', file = '', waves, seed] = process.argv.slice(2);
const journal = new Journal(file);
const random = new Random(Number(seed));
const DRAIN_MS = 60_000;
/** Turns of the loop that a worker may get after it has said that it is at work. */
const TURNS_MAX = 12;
const wrong: string[] = [];

/** Runs one worker until it is terminated, or ends by itself. */
async function work(given: Given): Promise<void> {
  const worker = new Worker(new URL('storm-worker.js', import.meta.url), { workerData: given });
  const turns = random.below(TURNS_MAX);
  const terminate = async (): Promise<void> => {
    for (let turn = 0; turn < turns; turn += 1) await tick();
    await worker.terminate();
  };
  // While the addon loads, or in the midst of what it does.
  const when = given.mode === 'loading' ? 'online' : 'message';
  if (!given.mode.startsWith('ends')) worker.once(when, () => void terminate());
  worker.on('error', (error) => {
    if (!error.message.includes('on purpose')) wrong.push(`${given.mode}: ${String(error)}`);
  });
  await new Promise((resolve) => worker.once('exit', resolve));
}

/** Accepts changes in the main thread, and requires that they succeed, until it is told to stop. */
async function goOn(stores: ReadonlyMap<string, Opened>, isOver: () => boolean): Promise<void> {
  for (let round = 0; !isOver(); round += 1) {
    for (const name of KIND_NAMES) {
      const store = stores.get(name);
      if (store === undefined) continue;
      const done = kindOf(name).accept(store, `main ${name} ${process.pid} ${round}`);
      await done?.catch((error: unknown) => wrong.push(`main: ${String(error)}`));
    }
    await tick();
  }
}

/** One wave. In every other one the main thread has the same stores open, and goes on with them. */
async function wave(index: number): Promise<void> {
  const place = `${directory}/${index}`;
  const held = FileLock.tryAcquire(`${place}.held.json.lock`);
  const stores = new Map<string, Opened>();
  if (index % 2 === 1) {
    for (const name of KIND_NAMES) {
      stores.set(name, await kindOf(name).open(`${place}.${name}`, DRAIN_MS));
    }
  }
  let over = false;
  const main = goOn(stores, () => over);
  const workers = Array.from({ length: WAVE_WORKERS }, (_, worker) => {
    const mode = MODES[(index * WAVE_WORKERS + worker) % MODES.length] as Mode;
    return work({ mode, place, worker: `${index}-${worker}`, journal: journal.descriptor });
  });
  await Promise.all(workers);
  over = true;
  await main;
  for (const store of stores.values()) await store.close();
  held?.release();
}

// The first wave also starts what Node keeps: the threads of its pool.
await wave(0);
await until(() => ownThreads() === 0, 'the threads of the first wave end');
const before = { descriptors: descriptorsButModules(), tasks: taskCount() };
for (let index = 1; index < Number(waves); index += 1) await wave(index);
const leaked = (): { descriptors: number; tasks: number } => ({
  descriptors: Math.max(0, descriptorsButModules() - before.descriptors),
  tasks: Math.max(0, taskCount() - before.tasks),
});
await until(() => {
  const { descriptors, tasks } = leaked();
  return ownThreads() + descriptors + tasks === 0;
}, 'everything is given back').catch(() => undefined);
const left = { open: openIn(directory), own: ownThreads() };
process.stdout.write(JSON.stringify({ wrong, left, leaked: leaked() }));
