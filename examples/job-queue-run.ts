// Runs the queue of job-queue.ts: a producer and two workers, each a process that is killed with
// SIGKILL and started again. Counts from outside what was accepted and what was run.
//
//   node --import=tsx examples/job-queue-run.ts [KILLS] [FILE]
//
// KILLS of 0 shows how fast the queue is; SEED=n repeats the choice of victims and moments.
// Every line of FILE is a job. Exits with 1 if a job that was accepted was not run.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { Wal } from '../index.ts';
import { createQueue } from './job-queue.ts';
import { Program } from './lib/program.ts';
import { QueueLedger, type QueueReport, centsOf } from './lib/queue-ledger.ts';
import { randomBelow, seed } from './lib/random.ts';

const KILLS = Number(process.argv[2] ?? 10);
const INPUT = process.argv[3] ?? path.join(import.meta.dirname, 'events.txt');
const WORKERS = 2;
/** A run in which nothing happens for so long has failed. */
const HANG_MS = 40_000;

const lines = readFileSync(INPUT, 'utf8').trimEnd().split('\n');
const ledger = new QueueLedger(lines.map(centsOf));
const directory = mkdtempSync(path.join(tmpdir(), 'tidemark-queue-'));
const running = new Map<string, Program<QueueReport>>();
/** After how many jobs, in all, somebody is killed. */
const killAt = Array.from({ length: KILLS }, () => 1 + randomBelow(lines.length - 1));
killAt.sort((a, b) => a - b);
const kills = { producer: 0, worker: 0 };
let isOver = false;
/** When the first job was accepted. */
let began: bigint | undefined;

function hear(report: QueueReport): void {
  began ??= process.hrtime.bigint();
  hang.refresh();
  if (report.kind === 'accepted') {
    ledger.acceptedUntil(report.until);
    return;
  }
  ledger.ran(report.lsn, report.cents);
  while (ledger.done >= (killAt[0] ?? Infinity) && killOne()) killAt.shift();
}

/** Kills somebody who runs; false if nobody does at this moment. */
function killOne(): boolean {
  const alive = [...running.values()].filter(({ isRunning }) => isRunning);
  const victim = alive[randomBelow(alive.length)];
  victim?.kill();
  return victim !== undefined;
}

/** Runs a producer or a worker to its end, starting it again whenever it was killed. */
async function keepRunning(role: 'producer' | 'worker', last: string): Promise<void> {
  for (;;) {
    const args = [role, directory, String(WORKERS), last];
    const program = new Program<QueueReport>('job-process', args, hear);
    running.set(role + last, program);
    if (isOver) program.say('stop');
    const end = await program.ended;
    running.delete(role + last);
    if (end === 0) return;
    if (end !== 'SIGKILL') throw new Error(`a ${role} ended with ${end}`);
    kills[role] += 1;
  }
}

async function run(): Promise<void> {
  await createQueue(directory, WORKERS);
  const workers = Array.from({ length: WORKERS }, (_, worker) => {
    return keepRunning('worker', String(worker));
  });
  const produced = keepRunning('producer', INPUT).then(() => {
    isOver = true;
    for (const program of running.values()) program.say('stop');
  });
  await Promise.all([produced, ...workers]);
}

const hang = setTimeout(() => {
  console.error(`no progress: ${ledger.done} of ${ledger.accepted} jobs are done`);
  for (const program of running.values()) program.kill();
  rmSync(directory, { recursive: true, force: true });
  process.exit(1);
}, HANG_MS);
console.log(`${lines.length} jobs, ${WORKERS} workers, seed ${seed}`);
try {
  await run();
  const seconds = Number((process.hrtime.bigint() - (began ?? 0n)) / 1_000_000n) / 1000;
  const jobs = await Wal.open(path.join(directory, 'jobs'));
  console.table({
    accepted: ledger.accepted,
    'run at least once': ledger.done,
    'run again': ledger.again,
    lost: ledger.lost,
    wrong: ledger.wrong,
    'still in the log': Number(jobs.lastLsn - jobs.firstLsn + 1n),
    'producers killed': kills.producer,
    'workers killed': kills.worker,
    seconds,
    'jobs per second': Math.round(lines.length / seconds),
  });
  await jobs.close();
  console.log(ledger.isWhole ? 'no job lost' : 'JOBS WERE LOST');
  process.exitCode = ledger.isWhole ? 0 : 1;
} finally {
  clearTimeout(hang);
  for (const program of running.values()) program.kill();
  rmSync(directory, { recursive: true, force: true });
}
