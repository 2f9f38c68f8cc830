// All that CI checks: the lints, the tests, those beside other implementations, then those of ends
// and teardown once more with AddressSanitizer, and the packed package on every runtime. A lint
// that fails counts as one failed test, so that the last line tells the whole.
import process from 'node:process';
import { SetupError, main, say } from './lib/project.mjs';
import { CI_LINTS, runLint } from './lint.mjs';
import { sanitizeShort } from './sanitize.mjs';
import { ensureAddon, ensureModules } from './setup.mjs';
import { conclude, ensurePeers, ensureRuntimes, runTests } from './test.mjs';

// More of the interleavings and second stops than each `npm test` tries.
process.env['TORTURE'] ??= '4';
try {
  ensureModules();
  const lints = runLint(CI_LINTS);
  // A build that fails has failed in the lint of the binding, too. It fails the tests of its
  // language, and those of the other run all the same.
  await main(ensureAddon);
  await main(ensurePeers);
  const tests = await runTests(['rust', 'node', 'interop']);
  const watched = await sanitizeShort();
  // Only now: from here on the addon is that of a release. Without it the specs run all the same.
  await main(ensureRuntimes);
  const runtimes = await runTests(['runtimes']);
  conclude({
    passed: tests.passed + watched.passed + runtimes.passed,
    failed: tests.failed + watched.failed + runtimes.failed + lints,
    skipped: tests.skipped + watched.skipped + runtimes.skipped,
  });
} catch (error) {
  if (error instanceof SetupError) say(error.message);
  else process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : String(error)}\n`);
  conclude({ passed: 0, failed: 1, skipped: 0 });
}
