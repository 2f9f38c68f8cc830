// A process that accepts changes, tick after tick, until it ends in one of many ways. Arguments:
// the kind of the store, the way, the store's place, the journal, and the tick of the end.
import process from 'node:process';
import { setImmediate as tick } from 'node:timers/promises';
import { FileLock } from '../../index.ts';
import { Journal, type KindName, kindOf } from './accepted.ts';

const [kind, way, place = '', file = '', ticks] = process.argv.slice(2);
const name = kind as KindName;
const journal = new Journal(file);
/** Changes that are handed over in one tick. */
const BURST = 20;
/** Longer than any drain takes: what is bounded is shown elsewhere. */
const DRAIN_MS = 60_000;

const store = await kindOf(name).open(place, DRAIN_MS);
let count = 0;

function burst(): void {
  const changes = Array.from({ length: BURST }, () => `change ${(count += 1)}`);
  journal.accept(name, place, store, changes);
}

const WAYS: Record<string, () => unknown> = {
  'natural end': () => undefined,
  'process.exit': () => process.exit(0),
  'process.exit in a microtask': () => {
    queueMicrotask(() => process.exit(0));
  },
  'uncaught error': () => {
    process.nextTick(() => {
      throw new Error('on purpose');
    });
  },
  'unhandled rejection': () => {
    void Promise.reject(new Error('on purpose'));
  },
  'exit code and natural end': () => {
    process.exitCode = 7;
  },
  'beforeExit that accepts more': () => {
    process.once('beforeExit', burst);
  },
  'exit handler that accepts more': () => {
    process.on('exit', burst);
    process.exit(0);
  },
  'close, then process.exit': () => {
    void store.close();
    process.exit(0);
  },
  'closeSync, then an uncaught error': () => {
    store.closeSync();
    throw new Error('on purpose');
  },
  // Locks that are held and waited for, files that are being opened.
  'process.exit beside much else': () => {
    void FileLock.tryAcquire(`${place}.other`);
    void FileLock.acquire(`${place}.other`);
    for (const other of ['a', 'b']) {
      void kindOf('json').open(`${place}.${other}.json`, DRAIN_MS);
      void kindOf('log').open(`${place}.${other}`, DRAIN_MS);
    }
    process.exit(0);
  },
};

for (let turn = 0; turn < Number(ticks); turn += 1) {
  burst();
  await tick();
}
burst();
await WAYS[way ?? '']?.();
