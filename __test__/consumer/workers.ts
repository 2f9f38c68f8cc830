// A user's program: 8 worker threads that load the package, and use one store and one log at once.
import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import process from 'node:process';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { JsonFileStore, ResumeKey, Wal } from '../../index.ts';

const WORKERS = 8;
const [name = 'workers'] = process.argv.slice(2);

async function work(index: number): Promise<bigint> {
  const store = await JsonFileStore.open(`${name}.json`);
  const wal = await Wal.open(`${name}-log`);
  const lsn = await wal.append(Buffer.from(`worker ${index}`));
  await store.put(ResumeKey.named(`worker ${index}`), { lastCommittedSequence: lsn });
  await wal.close();
  await store.close();
  return lsn;
}

async function main(): Promise<void> {
  const workers = Array.from(
    { length: WORKERS },
    (_, index) => new Worker(new URL(import.meta.url), { workerData: index, argv: [name] }),
  );
  const lsns = await Promise.all(
    workers.map(async (worker) => {
      const ended = once(worker, 'exit') as Promise<[number]>;
      const [lsn] = (await once(worker, 'message')) as [bigint];
      const [code] = await ended;
      if (code !== 0) throw new Error(`a worker ended with ${code}`);
      return lsn;
    }),
  );
  const store = await JsonFileStore.open(`${name}.json`);
  const kept = lsns.filter(
    (lsn, index) =>
      store.getSync(ResumeKey.named(`worker ${index}`))?.lastCommittedSequence === lsn,
  );
  await store.close();
  process.stdout.write(`done ${new Set(lsns).size} numbers, ${kept.length} checkpoints\n`);
  await once(process.stdin.resume(), 'end');
}

if (isMainThread) await main();
else parentPort?.postMessage(await work(workerData as number));
