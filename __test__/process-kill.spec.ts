// SIGKILL at any moment, seen from TypeScript through the built addon: PK-1 to PK-5 of
// process-kill/verdict.ts. The long form is `npm run torture`.
import test from 'ava';
import { tidemark, unlocked } from './process-kill/kinds.ts';
import { HOLDING, PHASES, buildPhaseWatch } from './process-kill/phases.ts';
import { runRound } from './process-kill/round.ts';
import { Random, seed } from './support/random.ts';
import { tempDir } from './support/temp-dir.ts';

const ROUNDS_TO_CONVICT = 20;
/** A busy machine takes longer; only a hang takes so long. */
const PATIENCE_MS = 600_000;

test('nothing acknowledged is lost to SIGKILL, whatever phase of a commit it finds', async (t) => {
  t.timeout(PATIENCE_MS);
  const tally = await runRound({
    seed,
    directory: tempDir(t),
    library: buildPhaseWatch(tempDir(t)),
    writers: [tidemark, tidemark, tidemark, tidemark],
    killsPerWriter: 8,
  });
  for (const line of [`SEED=${seed}`, ...tally.lines()]) t.log(line);
  t.deepEqual(tally.complaints, []);
  t.true(tally.holdingShare >= 0.1, 'at least a tenth of the kills find a process with the lock');
  const missed = HOLDING.filter((phase) => tally.killed(['random', 'aimed', 'end'], [phase]) === 0);
  t.deepEqual(missed, [], `every phase of ${PHASES.join(', ')} was hit`);
});

test('writers whose lock locks nothing are convicted: the harness notices', async (t) => {
  t.timeout(PATIENCE_MS);
  const library = buildPhaseWatch(tempDir(t));
  const random = new Random(seed);
  // One lost update is enough, and soon comes; that none comes in many rounds is a failure.
  for (let round = 0; round < ROUNDS_TO_CONVICT; round += 1) {
    const tally = await runRound({
      seed: random.below(2 ** 31),
      directory: tempDir(t),
      library,
      writers: [unlocked, unlocked, unlocked, unlocked],
      killsPerWriter: 1,
    });
    const lost = tally.complaints.find((complaint) => complaint.startsWith('PK-'));
    if (lost === undefined) continue;
    t.log(`round ${round + 1}: ${lost}`);
    t.pass();
    return;
  }
  t.fail(`nothing found in ${ROUNDS_TO_CONVICT} rounds, SEED=${seed}`);
});
