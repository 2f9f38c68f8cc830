// Measures: sets itself up, then runs the benches.
//
//   npm run bench [-- put | together | get-sync | hand-over | wal | wal-follow | wal-open ...]
import path from 'node:path';
import process from 'node:process';
import { SetupError, main, root, run, say } from './lib/project.mjs';
import { ensureAddon, ensureModules, runNpm } from './setup.mjs';
import { ensurePeers } from './test.mjs';

/** What the others are needed for that take minutes to come by. */
const STORES = ['put', 'together'];
const LOGS = ['wal', 'wal-open'];

/** What stores are compared with, of its own lock file: the project's set-up stays light. */
function ensureModulesOfRivals() {
  const prefix = path.join(root, 'bench');
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  // Their binaries come inside npm packages: nothing is downloaded from elsewhere, or compiled.
  if (!runNpm(['ci', '--prefix', prefix, '--ignore-scripts', ...quiet])) {
    say('npm ci failed in bench/: what needs it is left out');
  }
}

function ensureAviso() {
  try {
    ensurePeers();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(`${error.message}; the aviso crate is left out`);
  }
}

/** The floors of a log and the crate that it is compared with. */
function ensureLogPeer() {
  say('building hiqlite-wal and its runner (from scratch it takes a minute)');
  const manifest = ['--manifest-path', 'bench/wal-peer/Cargo.toml'];
  const args = ['build', '--release', '--locked', '--quiet', ...manifest];
  if (!run('cargo', [...args, '--target-dir', 'target/wal-peer'])) {
    say('it could not be built (it needs Rust 1.95), see above; what is in Rust is left out');
  }
}

await main(async () => {
  const chosen = process.argv.slice(2);
  const needed = (/** @type {string[]} */ by) =>
    chosen.length === 0 || chosen.some((name) => by.includes(name));
  ensureModules();
  // Figures of anything else than what is published would mean nothing.
  process.env['TIDEMARK_RELEASE'] = '1';
  await ensureAddon();
  if (!runNpm(['run', '--silent', 'build:dist'])) throw new SetupError('see above');
  if (needed(STORES)) {
    ensureModulesOfRivals();
    ensureAviso();
  }
  if (needed(LOGS)) ensureLogPeer();
  const script = path.join(root, 'bench/run.ts');
  const args = ['--import=tsx', '--disable-warning=TIDEMARK_UNPROVEN', script];
  if (!run(process.execPath, [...args, ...chosen])) {
    throw new SetupError('the benches did not run to their end, see above');
  }
});
