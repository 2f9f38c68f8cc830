// A writer in a tight loop: puts 1, 2, 3, ... to its own key, one at a time, so that the state file
// itself counts its turns. As many worker threads as it is given names, or none for one name.
//   hand-over-writer.js FILE TURNS NAME [NAME ...]
// Writes `ready` before the first put and `done` after the last, once for each name.
import { writeSync } from 'node:fs';
import process from 'node:process';
import { Worker, isMainThread, workerData } from 'node:worker_threads';
import { JsonFileStore, ResumeKey } from '../../index.ts';

const say = (word: string): void => void writeSync(1, `${word}\n`);

async function write(file: string, turns: number, name: string): Promise<void> {
  const store = await JsonFileStore.open(file, { lockTimeoutMs: 120_000 });
  const key = ResumeKey.named(name);
  say('ready');
  for (let turn = 1; turn <= turns; turn += 1) {
    await store.put(key, { lastCommittedSequence: turn });
  }
  say('done');
}

const [file = '', turns = '', ...names] = isMainThread
  ? process.argv.slice(2)
  : (workerData as string[]);
if (names.length > 1) {
  for (const name of names) {
    new Worker(new URL(import.meta.url), { workerData: [file, turns, name] });
  }
} else {
  await write(file, Number(turns), names[0] ?? '');
}
