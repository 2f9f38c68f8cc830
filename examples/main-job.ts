// The main job: consumers that are killed and lose nothing.
//
//   npm start [-- FILE]        SEED=n repeats the same choice of kills
//
// Serves the lines of FILE as Server-Sent Events, runs 4 consumer processes that share one state
// file, each under its own key and receiving all events, kills them with SIGKILL 20 times at random
// moments and starts them again. Counts from what arrives here, never from what a consumer says.
// Exits with 1 if an event was skipped, or a consumer resumed from before what was acknowledged.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { JsonFileStore, ResumeKey } from '../index.ts';
import { EventServer } from './lib/event-server.ts';
import { Ledger } from './lib/ledger.ts';
import { randomBelow, seed } from './lib/random.ts';

const CONSUMERS = ['amber', 'birch', 'cedar', 'delta'];
const KILLS = 20;
const CONSUMER_PROGRAM = path.join(import.meta.dirname, 'resume-consumer.ts');

const file = process.argv[2] ?? path.join(import.meta.dirname, 'events.txt');
const lines = readLines(file);
const directory = mkdtempSync(path.join(tmpdir(), 'tidemark-'));
const stateFile = path.join(directory, 'state.json');
const ledgers = new Map(CONSUMERS.map((name) => [name, new Ledger(name, lines.length)]));
const running = new Map<string, ChildProcess>();
const killAt = drawKills(CONSUMERS.length * lines.length);

let received = 0;
let shown = -1;

/** When to kill: after so many events have arrived, in all. */
function drawKills(events: number): number[] {
  const moments = Array.from({ length: KILLS }, () => 1 + randomBelow(events));
  return moments.sort((a, b) => a - b);
}

function readLines(from: string): string[] {
  const text = readFileSync(from, 'utf8');
  if (text === '') throw new Error(`${from} has no lines to serve`);
  return text.split(/\r?\n/).filter((line, index, all) => line !== '' || index < all.length - 1);
}

const server = new EventServer(lines, {
  resumed: (consumer, after) => ledgers.get(consumer)?.resumed(after),
  handled(consumer, id, data) {
    ledgers.get(consumer)?.handled(id, data === lines[id - 1]);
    received += 1;
    showProgress();
    while (received >= (killAt[0] ?? Infinity) && killOne()) killAt.shift();
  },
});

/** Kills a consumer that runs; false if none does at this moment. */
function killOne(): boolean {
  const alive = [...running.entries()].filter(([, child]) => !child.killed);
  const victim = alive[randomBelow(alive.length)];
  return victim?.[1].kill('SIGKILL') ?? false;
}

/** Runs a consumer to its end, starting it again whenever it was killed. */
async function runConsumer(ledger: Ledger, baseUrl: string): Promise<void> {
  for (;;) {
    const args = [
      '--import=tsx',
      '--no-warnings',
      CONSUMER_PROGRAM,
      ledger.name,
      baseUrl,
      stateFile,
    ];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    running.set(ledger.name, child);
    const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
      child.once('exit', (...how) => {
        resolve(how);
      });
    });
    running.delete(ledger.name);
    if (signal !== 'SIGKILL') {
      // It was faster than its killer: somebody else gets that kill.
      if (child.killed) killAt.unshift(received);
      if (code !== 0) throw new Error(`consumer ${ledger.name} ended with ${code ?? signal}`);
      return;
    }
    ledger.kills += 1;
  }
}

function showProgress(): void {
  const kills = [...ledgers.values()].reduce((sum, ledger) => sum + ledger.kills, 0);
  const events = [...ledgers.values()].reduce((sum, ledger) => sum + ledger.delivered, 0);
  const percent = Math.floor((100 * events) / (CONSUMERS.length * lines.length));
  if (percent === shown) return;
  shown = percent;
  const line = `${String(percent).padStart(3)} %  ${events} events delivered, ${kills} kills`;
  if (process.stdout.isTTY) process.stdout.write(`\r${line}`);
  else if (percent % 10 === 0) console.log(line);
}

async function report(): Promise<boolean> {
  const store = await JsonFileStore.open(stateFile);
  const rows = [...ledgers.values()].map((ledger) => {
    const key = ResumeKey.derive({ baseUrl, eventType: 'line', filter: { consumer: ledger.name } });
    const last = store.getSync(key)?.lastCommittedSequence;
    const { name: consumer, delivered, redelivered, skipped, wentBack, damaged, kills } = ledger;
    return {
      consumer,
      delivered,
      redelivered,
      skipped,
      'went back': wentBack,
      damaged,
      'kills survived': kills,
      'final checkpoint': Number(last ?? 0n),
    };
  });
  await store.close();
  console.table(rows);
  const atEnd = rows.every((row) => row['final checkpoint'] === lines.length);
  return atEnd && [...ledgers.values()].every((ledger) => ledger.isWhole);
}

console.log(`${lines.length} events from ${path.relative('.', file) || file}, seed ${seed}`);
const baseUrl = await server.listen();
try {
  await Promise.all([...ledgers.values()].map((ledger) => runConsumer(ledger, baseUrl)));
  if (process.stdout.isTTY) process.stdout.write('\n');
  const kept = await report();
  const kills = [...ledgers.values()].reduce((sum, ledger) => sum + ledger.kills, 0);
  if (kills < KILLS) console.log(`only ${kills} of ${KILLS} kills: the file has too few lines`);
  console.log(kept ? `nothing skipped over ${kills} kills` : 'SOMETHING WAS LOST');
  process.exitCode = kept ? 0 : 1;
} finally {
  for (const child of running.values()) child.kill('SIGKILL');
  server.close();
  rmSync(directory, { recursive: true, force: true });
}
