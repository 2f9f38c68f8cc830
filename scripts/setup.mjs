// What `npm start` and `npm test` call first: makes a fresh clone ready to run, and does nothing
// if it already is. Installs the packages of package-lock.json and builds the addon for this
// machine. Node built-ins only.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { buildStamp } from './lib/source-hash.mjs';
import {
  SetupError,
  host,
  inPrebuilds,
  isMain,
  main,
  outputOf,
  prebuild,
  readJson,
  root,
  run,
  say,
} from './lib/project.mjs';

const RUST_MINIMUM = { major: 1, minor: 89 };
const WHAT_TO_INSTALL =
  `Rust ${RUST_MINIMUM.major}.${RUST_MINIMUM.minor} or newer (https://rustup.rs) ` +
  'and a C compiler (Debian: build-essential)';

/** Fails on a Node that package.json leaves out, where a range is `^a.b.c` or `>=a.b.c`. */
function checkNode() {
  const range = readJson('package.json').engines.node;
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const fits = range.split('||').some((/** @type {string} */ part) => {
    const match = /^\s*(\^|>=)(\d+)\.(\d+)/.exec(part);
    if (match === null) throw new Error(`engines.node has a range that is not understood: ${part}`);
    const [wantMajor, wantMinor] = [Number(match[2]), Number(match[3])];
    if (major === wantMajor) return minor >= wantMinor;
    return match[1] === '>=' && major > wantMajor;
  });
  if (!fits) throw new SetupError(`needs Node.js ${range}, this is ${process.versions.node}`);
}

/**
 * Whether node_modules holds what package-lock.json says: npm keeps its own account of it.
 * @param {string} folder
 */
function modulesAreCurrent(folder) {
  const account = path.join(root, folder, 'node_modules/.package-lock.json');
  if (!existsSync(account)) return false;
  const wanted = readJson(path.join(folder, 'package-lock.json')).packages;
  const installed = JSON.parse(readFileSync(account, 'utf8')).packages;
  return Object.entries(wanted).every(([name, entry]) => {
    if (name === '') return true;
    const there = installed[name];
    // What is optional is there only on the platforms that it is for.
    if (there === undefined) return entry.optional === true || entry.devOptional === true;
    return there.version === entry.version && there.integrity === entry.integrity;
  });
}

/** @param {string} folder one with a package-lock.json of its own, or the project's */
export function ensureModules(folder = '.') {
  checkNode();
  if (modulesAreCurrent(folder)) return;
  say(`installing packages (npm ci${folder === '.' ? '' : ` in ${folder}`})`);
  // No dependency needs its install script, and nobody here can change what npm would warn of.
  const args = ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'];
  args.push('--loglevel=error', `--prefix=${path.join(root, folder)}`);
  if (!runNpm(args)) throw new SetupError('npm ci failed, see above');
}

/** @param {string[]} args */
export function runNpm(args) {
  const npm = process.env['npm_execpath'];
  if (npm?.endsWith('npm-cli.js')) return run(process.execPath, [npm, ...args]);
  return process.platform === 'win32' ? run('cmd', ['/c', 'npm', ...args]) : run('npm', args);
}

/** What is missing to build the addon, in one sentence; undefined if nothing is. */
function missingToBuild() {
  const rustc = outputOf('rustc', ['--version']);
  if (rustc === undefined || outputOf('cargo', ['--version']) === undefined) {
    return `no Rust compiler found; install ${WHAT_TO_INSTALL}`;
  }
  const [major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(rustc) ?? []).slice(1).map(Number);
  if (major === RUST_MINIMUM.major && minor < RUST_MINIMUM.minor) {
    return `Rust ${major}.${minor} is too old; install ${WHAT_TO_INSTALL}`;
  }
  if (process.platform !== 'win32' && outputOf('cc', ['--version']) === undefined) {
    return `no C compiler found, and Rust links with one; install ${WHAT_TO_INSTALL}`;
  }
  return undefined;
}

/** @returns {'dev' | 'release'} */
const profileAskedFor = () => (process.env['TIDEMARK_RELEASE'] === '1' ? 'release' : 'dev');

/**
 * Builds the addon of this machine unless the one that is there was built from these sources.
 * The stamp that tells lies beside it. Nobody else's prebuild has one: it is built anew.
 */
export async function ensureAddon(profile = profileAskedFor()) {
  const { file, stamp } = prebuild(host);
  const there = existsSync(inPrebuilds(file));
  const stamped = existsSync(inPrebuilds(stamp));
  if (there && stamped && readFileSync(inPrebuilds(stamp), 'utf8') === buildStamp(profile)) return;
  const missing = missingToBuild();
  if (missing !== undefined) {
    if (there) return say(`using the addon as it is (${missing})`);
    throw new SetupError(missing);
  }
  say(`building the addon (${profile} profile; from scratch it takes a minute or two)`);
  const { build } = await import('./prebuild.mjs');
  await build({ profile });
}

if (isMain(import.meta.url)) {
  await main(async () => {
    ensureModules();
    if (process.argv.includes('--modules')) return;
    await ensureAddon(process.argv.includes('--release') ? 'release' : undefined);
  });
}
