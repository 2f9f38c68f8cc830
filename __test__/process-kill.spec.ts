// SIGKILL at any moment, seen from TypeScript through the built addon: PK-1 to PK-5 of
// process-kill/verdict.ts. The long form is `npm run torture`.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { tidemark, unlocked } from './process-kill/kinds.ts';
import { HOLDING, PHASES, buildPhaseWatch } from './process-kill/phases.ts';
import { type Kind, runRound } from './process-kill/round.ts';
import { Random, seed } from './support/random.ts';
import { tempDir } from './support/temp-dir.ts';

const ROUNDS_TO_CONVICT = 20;
/** A busy machine takes longer; only a hang takes so long. */
const PATIENCE_MS = 600_000;

test('nothing acknowledged is lost to SIGKILL, whatever phase of a commit it finds', async (t) => {
  t.timeout(PATIENCE_MS);
  t.log(`SEED=${seed}`);
  const tally = await runRound({
    seed,
    directory: tempDir(t),
    library: buildPhaseWatch(tempDir(t)),
    writers: [tidemark, tidemark, tidemark, tidemark],
    killsPerWriter: 8,
  });
  for (const line of tally.lines()) t.log(line);
  t.deepEqual(tally.complaints, []);
  t.true(tally.holdingShare >= 0.1, 'at least a tenth of the kills find a process with the lock');
  const missed = HOLDING.filter((phase) => tally.killed(['random', 'aimed', 'end'], [phase]) === 0);
  t.deepEqual(missed, [], `every phase of ${PHASES.join(', ')} was hit`);
});

test('writers whose lock locks nothing are convicted: the harness notices', async (t) => {
  t.timeout(PATIENCE_MS);
  t.log(`SEED=${seed}`);
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

/** A writer that overwrites the file with half of one, again and again. */
const halving: Kind = {
  ...tidemark,
  name: 'halving',
  isOurs: false,
  isWatched: false,
  isAimed: false,
  start: ({ name, file, own: [key = 0] }, journal, env) => {
    const script = `op=0; while op=$((op + 1)); do
      printf '{"version":1,"key_' > "$1"; echo "try $0 $op put ${key} $op"; done`;
    return spawn('sh', ['-c', script, name, file], { stdio: ['ignore', journal, 'pipe'], env });
  },
};

test('a state file that does not parse is found, and the round ends with its tally', async (t) => {
  t.timeout(PATIENCE_MS);
  t.log(`SEED=${seed}`);
  const directory = tempDir(t);
  const { complaints, rounds, looks } = await runRound({
    seed,
    directory,
    library: buildPhaseWatch(tempDir(t)),
    writers: [halving, tidemark],
    killsPerWriter: 0,
  });
  for (const complaint of complaints.slice(0, 8)) t.log(complaint);
  t.true(
    complaints.some((line) => /^the observer failed: .*JSON/.test(line)),
    'by the observer',
  );
  t.true(
    complaints.some((line) => line.startsWith('tidemark failed: ')),
    'and by who reads it',
  );
  t.like({ rounds, isLookedAt: looks > 0 }, { rounds: 1, isLookedAt: true });
  const kept = readFileSync(path.join(directory, 'journal.txt'), 'utf8');
  t.regex(kept, /^try halving\.1\.0 1 put 100 1$/m, 'what was told is beside what was found');
  t.regex(kept, /^died halving\.2\.2$/m, 'to the end');
});
