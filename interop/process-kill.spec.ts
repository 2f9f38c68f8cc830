// The original, an implementation in Python and ours write one file at once and are killed at
// random. What is left is judged as where only ours writes, and each of the three reads the same.
import test from 'ava';
import { tidemark, unlocked } from '../__test__/process-kill/kinds.ts';
import { buildPhaseWatch } from '../__test__/process-kill/phases.ts';
import { runRound } from '../__test__/process-kill/round.ts';
import { Tally } from '../__test__/process-kill/tally.ts';
import { Random, seed } from '../__test__/support/random.ts';
import { tempDir } from '../__test__/support/temp-dir.ts';
import { aviso, python } from './peers.ts';

const ROUNDS = 3;
const KILLS_PER_WRITER = 6;
const ROUNDS_TO_CONVICT = 20;
/** A busy machine takes longer; only a hang takes so long. */
const PATIENCE_MS = 600_000;
/** The original's own temporaries; ours sweeps them when they are an hour old. */
const mayLeave = /^\.atomicwrite/;

test('three implementations on one file lose nothing, killed at any moment', async (t) => {
  t.timeout(PATIENCE_MS);
  t.log(`SEED=${seed}`);
  const library = buildPhaseWatch(tempDir(t));
  const random = new Random(seed);
  const total = new Tally();
  for (let round = 0; round < ROUNDS; round += 1) {
    const tally = await runRound({
      seed: random.below(2 ** 31),
      directory: tempDir(t),
      library,
      writers: [tidemark, aviso, python, tidemark, aviso],
      killsPerWriter: KILLS_PER_WRITER,
      mayLeave,
    });
    total.add(tally);
  }
  for (const line of total.lines()) t.log(line);
  t.deepEqual(total.complaints, []);
  // In two waves each, and at the end of either once more.
  const lives = 2 * ROUNDS * (KILLS_PER_WRITER + 1);
  const unwatched = total.kills.get(undefined);
  t.is(
    (unwatched?.random ?? 0) + (unwatched?.end ?? 0),
    2 * lives,
    'of none but the two of aviso the phase is unknown',
  );
});

test('beside a writer whose lock locks nothing, the losses of the others are found', async (t) => {
  t.timeout(PATIENCE_MS);
  t.log(`SEED=${seed}`);
  const library = buildPhaseWatch(tempDir(t));
  const random = new Random(seed);
  for (let round = 1; round <= ROUNDS_TO_CONVICT; round += 1) {
    const { complaints } = await runRound({
      seed: random.below(2 ** 31),
      directory: tempDir(t),
      library,
      writers: [unlocked, aviso, python, unlocked],
      killsPerWriter: 1,
      mayLeave,
    });
    const lost = complaints.find((complaint) => complaint.startsWith('PK-'));
    if (lost === undefined) continue;
    t.log(`round ${round}: ${lost}`);
    t.pass();
    return;
  }
  t.fail(`nothing found in ${ROUNDS_TO_CONVICT} rounds, SEED=${seed}`);
});
