// What is measured side by side. Each keeps its 1,000 keys in a directory of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { JsonFileStore } from './published.ts';
import { KEY_COUNT, all, next } from './workload.ts';

/** One of those that are measured. Times are in milliseconds. */
export interface Subject {
  readonly name: string;
  /** Puts one after the other: the time of each. */
  sequential(count: number): Promise<number[]>;
  /** Puts so many at once, `count` times: the time of each lot. */
  together?(count: number, atOnce: number): Promise<number[]>;
  close(): Promise<void>;
}

/** Does something so often: the time of each. */
export async function timed(count: number, what: () => unknown): Promise<number[]> {
  const took: number[] = [];
  for (let done = 0; done < count; done += 1) {
    const began = performance.now();
    await what();
    took.push(performance.now() - began);
  }
  return took;
}

const times = <T>(count: number, what: () => T): T[] => Array.from({ length: count }, what);

/** Makes the directory of a subject. */
function place(directory: string, name: string): string {
  const own = path.join(directory, name);
  fs.mkdirSync(own);
  return own;
}

/** The store that this package is about. */
export async function tidemark(directory: string): Promise<Subject & { readonly file: string }> {
  const file = path.join(place(directory, 'tidemark'), 'state.json');
  const store = await JsonFileStore.open(file);
  await store.putMany(all());
  const put = (): Promise<unknown> => store.put(...next());
  return {
    name: 'Tidemark JsonFileStore',
    file,
    sequential: (count) => timed(count, put),
    together: (count, atOnce) => timed(count, () => Promise.all(times(atOnce, put))),
    close: () => store.close(),
  };
}

/** The least that a durable replacement of these bytes takes: four system calls and their syncs. */
export function floor(directory: string, bytes: Uint8Array): Subject {
  const own = place(directory, 'floor');
  let count = 0;
  const replace = (): void => {
    const temporary = path.join(own, `${(count += 1)}.tmp`);
    const file = fs.openSync(temporary, 'wx', 0o600);
    fs.writeSync(file, bytes);
    fs.fsyncSync(file);
    fs.closeSync(file);
    fs.renameSync(temporary, path.join(own, 'state.json'));
    const folder = fs.openSync(own, 'r');
    fs.fsyncSync(folder);
    fs.closeSync(folder);
  };
  return {
    name: 'floor: write, fsync, rename, fsync of the directory',
    sequential: (count) => timed(count, replace),
    close: () => Promise.resolve(),
  };
}

/** The real crate, in a process of its own that measures itself. */
export async function aviso(
  program: string,
  directory: string,
  bytes: Uint8Array,
): Promise<Subject> {
  const file = path.join(place(directory, 'aviso'), 'state.json');
  fs.writeFileSync(file, bytes);
  const child = spawn(program, ['bench', file, String(KEY_COUNT)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child, 'spawn');
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (round: string): Promise<number[]> => {
    child.stdin.write(`${round}\n`);
    const line = await lines.next();
    if (line.done === true) throw new Error('the runner of the aviso crate ended');
    return line.value.split(' ').map((nanoseconds) => Number(nanoseconds) / 1e6);
  };
  return {
    name: 'the aviso crate 2.4.2, in Rust',
    sequential: (count) => ask(`sequential ${count}`),
    together: (count, atOnce) => ask(`together ${count} ${atOnce}`),
    async close() {
      child.stdin.end();
      await once(child, 'exit');
    },
  };
}
