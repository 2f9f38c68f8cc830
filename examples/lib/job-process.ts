// A producer or a worker of the queue of job-queue.ts, told what to do by job-queue-run.ts.
//   job-process.ts producer DIRECTORY WORKERS INPUT      each line of INPUT is a job
//   job-process.ts worker DIRECTORY WORKERS NUMBER
import { appendFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { Producer, work } from '../job-queue.ts';
import { type QueueReport, centsOf } from './queue-ledger.ts';

const JOBS_AT_ONCE = 50;
const [role = '', directory = '', workers = '', last = ''] = process.argv.slice(2);

/** Resolves when the parent has it, whatever becomes of this process. */
function tell(report: QueueReport): Promise<void> {
  return new Promise((resolve, reject) => {
    process.send?.(report, undefined, undefined, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

async function produce(input: string): Promise<void> {
  const lines = (await readFile(input, 'utf8')).trimEnd().split('\n');
  const producer = await Producer.open(directory, Number(workers));
  // A job per line: the log itself knows with which one to go on.
  for (let next = Number(producer.accepted); next < lines.length; next += JOBS_AT_ONCE) {
    await producer.submit(lines.slice(next, next + JOBS_AT_ONCE), BigInt(next));
    await tell({ kind: 'accepted', until: producer.accepted });
  }
  await producer.drained();
  await producer.close();
}

const stop = new AbortController();
if (role === 'producer') {
  // Nobody is there any more to tell.
  process.once('disconnect', () => process.exit(0));
  await produce(last);
} else {
  process.once('message', () => {
    stop.abort();
  });
  process.once('disconnect', () => {
    stop.abort();
  });
  const share = { worker: Number(last), workers: Number(workers), signal: stop.signal };
  await work(directory, share, async ({ lsn, text }) => {
    const cents = centsOf(text);
    const invoices = path.join(directory, `invoices-${last}.txt`);
    await appendFile(invoices, `${lsn}: ${cents}\n`, { flush: true });
    await tell({ kind: 'ran', lsn, cents });
  });
}
if (process.connected) process.disconnect();
