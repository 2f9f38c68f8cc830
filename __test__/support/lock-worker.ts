// A worker thread that takes file locks for its parent.
import { parentPort } from 'node:worker_threads';
import { FileLock } from '../../index.ts';

const locks: FileLock[] = [];

/** What the parent asks for. */
export interface LockQuestion {
  readonly do: 'acquire' | 'try' | 'release';
  readonly file: string;
}

async function answer({ do: task, file }: LockQuestion): Promise<boolean> {
  if (task === 'release') {
    for (const lock of locks.splice(0)) lock.release();
    return true;
  }
  const lock = task === 'try' ? FileLock.tryAcquire(file) : await FileLock.acquire(file);
  if (lock !== null) locks.push(lock);
  return lock !== null;
}

parentPort?.on('message', (question: LockQuestion) => {
  void answer(question).then((granted) => {
    parentPort?.postMessage(granted);
  });
});
