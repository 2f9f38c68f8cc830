// Rounds of the kill harness until the time is over: `npm run torture`.
//
//   torture.ts node | interop MINUTES
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { tidemark } from '../__test__/process-kill/kinds.ts';
import { buildPhaseWatch } from '../__test__/process-kill/phases.ts';
import { type Kind, runRound } from '../__test__/process-kill/round.ts';
import { Tally } from '../__test__/process-kill/tally.ts';
import { Random, seed } from '../__test__/support/random.ts';
import { aviso, python } from './peers.ts';

const WRITERS: Readonly<Record<string, readonly Kind[]>> = {
  node: [tidemark, tidemark, tidemark, tidemark],
  interop: [tidemark, aviso, python, tidemark, aviso],
};

const [harness = '', minutes] = process.argv.slice(2);
const writers = WRITERS[harness];
if (writers === undefined) throw new Error(`no such harness: ${harness}`);
const until = performance.now() + Number(minutes) * 60_000;
const base = mkdtempSync(path.join(os.tmpdir(), 'tidemark-torture-'));
const library = buildPhaseWatch(base);
const random = new Random(seed);
const total = new Tally();

// The first round is that of the seed itself, so that a seed that was printed replays its round.
for (let of = seed; total.complaints.length === 0 && performance.now() < until;) {
  const directory = mkdtempSync(path.join(base, 'round-'));
  const killsPerWriter = 12;
  const mayLeave = /^\.atomicwrite/;
  console.log(`SEED=${of}`);
  const tally = await runRound({
    ...{ seed: of, directory, library, writers, killsPerWriter, mayLeave },
  });
  total.add(tally);
  console.log(tally.lines()[0]);
  for (const complaint of tally.complaints) console.log(`  ${complaint}`);
  if (tally.complaints.length === 0) rmSync(directory, { recursive: true });
  else console.log(`kept: ${directory}`);
  of = random.below(2 ** 31);
}
for (const line of total.lines()) console.log(line);
if (total.complaints.length === 0) rmSync(base, { recursive: true });
process.exitCode = total.complaints.length === 0 ? 0 : 1;
