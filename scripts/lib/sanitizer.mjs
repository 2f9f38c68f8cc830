// An addon that AddressSanitizer watches, and how a process comes to load it. It lies beside
// cargo's other output, never in prebuilds/: TIDEMARK_PREBUILD tells the loader where.
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { SetupError, host, outputOf, prebuild, root, run, say } from './project.mjs';

const TARGET_DIRECTORY = path.join(root, 'target/asan');
const PREBUILDS_PARENT = path.join(TARGET_DIRECTORY, 'addon');
const REPORTS = path.join(TARGET_DIRECTORY, 'reports');

/** For the addon, and for the one with a fault: both are watched in the same way. */
const FLAGS = ['-Zsanitizer=address', '-Cforce-frame-pointers=yes'];
const UNSTABLE = { RUSTC_BOOTSTRAP: '1' };

/** What is found ends a process with this, which is no exit code of Node's, nor a signal. */
const EXIT_CODE = 99;
const OPTIONS = {
  // Node frees little when it ends, and a conservative scan of V8's heap tells nothing.
  detect_leaks: 0,
  // Node brings its own operator new and delete.
  alloc_dealloc_mismatch: 0,
  // Node is not instrumented: what it reads of ours after it was freed shall not look right.
  max_free_fill_size: 4096,
  exitcode: EXIT_CODE,
  // In files: a test may well keep to itself what its child had to say.
  log_path: path.join(REPORTS, 'asan'),
};

/** The triple of this machine. */
function triple() {
  const line = /^host: (\S+)$/m.exec(outputOf('rustc', ['--version', '--verbose']) ?? '');
  if (line?.[1] === undefined) throw new SetupError('sanitize: no Rust compiler found');
  return line[1];
}

/**
 * The C compiler's AddressSanitizer as a shared library. Rust ships it as an archive only, which a
 * program of ours could link, and Node cannot load.
 */
function runtime() {
  // Without its library the compiler answers with the name that it was asked for.
  const file = outputOf('cc', ['-print-file-name=libasan.so'])?.trim() ?? '';
  if (!path.isAbsolute(file) || !fs.existsSync(file)) {
    throw new SetupError(
      'sanitize: the C compiler has no libasan.so to preload; install gcc with its sanitizers ' +
        '(Debian: libgcc-12-dev, of build-essential)',
    );
  }
  return fs.realpathSync(file);
}

/**
 * Builds the addon with the compiler that builds it otherwise: the flag is unstable, and
 * RUSTC_BOOTSTRAP lets a stable compiler take it. The standard library stays as it was shipped.
 * What it does to memory of ours is seen at the allocator, and in generic code, compiled with ours.
 * @param {string} addon where it belongs
 */
export function buildSanitized(addon) {
  const target = triple();
  say('building the addon with AddressSanitizer (from scratch it takes some minutes)');
  // With a target of its own, so that the flags are not for build scripts and macros.
  const args = ['build', '--package', 'tidemark-node', '--locked', '--target', target];
  const env = { ...UNSTABLE, RUSTFLAGS: FLAGS.join(' ') };
  if (!run('cargo', [...args, '--target-dir', TARGET_DIRECTORY], env)) {
    throw new SetupError('sanitize: the addon could not be built, see above');
  }
  fs.mkdirSync(path.dirname(addon), { recursive: true });
  fs.rmSync(addon, { force: true });
  fs.copyFileSync(path.join(TARGET_DIRECTORY, target, 'debug/libtidemark_node.so'), addon);
  forgetReports();
}

function forgetReports() {
  fs.rmSync(REPORTS, { recursive: true, force: true });
  fs.mkdirSync(REPORTS, { recursive: true });
}

/**
 * Requires that a fault is reported: a small addon with a planted one, built and loaded as the real
 * one is, ends its process with a report, and without the fault does neither.
 * @param {NodeJS.ProcessEnv} env
 */
export function checkConvicts(env) {
  forgetReports();
  const addon = path.join(TARGET_DIRECTORY, 'planted-fault.node');
  const source = path.join(root, 'scripts/lib/planted_fault.rs');
  const how = ['--edition=2024', '--crate-type=cdylib', '-Copt-level=1', `--target=${triple()}`];
  if (!run('rustc', [...how, ...FLAGS, '-o', addon, source], UNSTABLE)) {
    throw new SetupError('sanitize: the planted fault could not be built, see above');
  }
  const load = (/** @type {NodeJS.ProcessEnv} */ more) => {
    const args = ['--eval', `require(${JSON.stringify(addon)})`];
    const all = { ...process.env, ...env, ...more };
    return spawnSync(process.execPath, args, { env: all, encoding: 'utf8' });
  };
  const sound = load({});
  if (sound.status !== 0 || reports().length > 0) {
    throw new SetupError(`sanitize: an addon without a fault is not taken: ${sound.stderr}`);
  }
  const ended = load({ TIDEMARK_PLANTED: '1' });
  const [report = ''] = reports();
  if (ended.status !== EXIT_CODE || !/heap-use-after-free[^]*planted-fault/.test(report)) {
    throw new SetupError(
      `sanitize: a planted use of freed memory is not reported, so nothing would be ` +
        `(ended with ${ended.status ?? ended.signal}): ${ended.stderr}`,
    );
  }
  forgetReports();
  say('a planted use of freed memory was reported: the specs are watched');
}

/** Where that addon belongs, and the environment in which Node loads it. */
export function environment() {
  if (process.platform !== 'linux') {
    throw new SetupError('sanitize: only where Linux preloads the runtime of AddressSanitizer');
  }
  const options = Object.entries(OPTIONS).map(([name, value]) => `${name}=${value}`);
  return {
    addon: path.join(PREBUILDS_PARENT, 'prebuilds', prebuild(host).file),
    env: {
      ASAN_OPTIONS: options.join(':'),
      LD_PRELOAD: runtime(),
      TIDEMARK_PREBUILD: PREBUILDS_PARENT,
    },
  };
}

/** What was found since the addon was built: one text for each process that it ended. */
export function reports() {
  const names = fs.readdirSync(REPORTS).toSorted();
  return names.map((name) => fs.readFileSync(path.join(REPORTS, name), 'utf8'));
}
