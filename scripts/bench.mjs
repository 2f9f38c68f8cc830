// Measures: sets itself up, then runs the benches.
//
//   npm run bench [-- put | together | get-sync | hand-over ...]
import path from 'node:path';
import process from 'node:process';
import { SetupError, main, root, run, say } from './lib/project.mjs';
import { ensureAddon, ensureModules, runNpm } from './setup.mjs';
import { ensurePeers } from './test.mjs';

/** What we compare with, of its own lock file, so that the project's set-up stays light. */
function ensureRivals() {
  const prefix = path.join(root, 'bench');
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  // Their binaries come inside npm packages: nothing is downloaded from elsewhere, or compiled.
  if (!runNpm(['ci', '--prefix', prefix, '--ignore-scripts', ...quiet])) {
    say('npm ci failed in bench/: what needs it is left out');
  }
  try {
    ensurePeers();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`${error.message}; the aviso crate is left out`);
  }
}

await main(async () => {
  ensureModules();
  // Figures of anything else than what is published would mean nothing.
  process.env['TIDEMARK_RELEASE'] = '1';
  await ensureAddon();
  ensureRivals();
  const script = path.join(root, 'bench/run.ts');
  const args = ['--import=tsx', '--disable-warning=TIDEMARK_UNPROVEN', script];
  if (!run(process.execPath, [...args, ...process.argv.slice(2)])) {
    throw new SetupError('the benches did not run to their end, see above');
  }
});
