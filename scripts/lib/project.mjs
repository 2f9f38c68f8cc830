// What the scripts share: where the project is, which addon this machine loads, how a step is run.
// Node built-ins only: these run before anything is installed.
import { spawnSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The C library of this process, or undefined where there is no choice. */
function libc() {
  if (process.platform !== 'linux') return undefined;
  // The same test as the loader's, so that what is built here is what is loaded here.
  // Without it the report asks for the names of every network interface and open connection.
  Object.assign(process.report, { excludeNetwork: true });
  const report = /** @type {{ header: object }} */ (process.report.getReport());
  return 'glibcVersionRuntime' in report.header ? 'glibc' : 'musl';
}

/** @typedef {{ platform: string, arch: string, libc: 'glibc' | 'musl' | undefined }} Host */

/** @type {Host} */
export const host = { platform: process.platform, arch: process.arch, libc: libc() };

/**
 * Where the addon for a platform is kept, relative to the directory of all prebuilds.
 * @param {Host} of
 */
export function prebuild(of) {
  const directory = `${of.platform}-${of.arch}`;
  const file = ['node.napi', of.libc, 'node'].filter(Boolean).join('.');
  return {
    directory,
    file: path.join(directory, file),
    stamp: path.join(directory, `${file}.built-from.json`),
    types: path.join(directory, 'index.d.cts'),
  };
}

/** @param {string} name */
export const inPrebuilds = (name) => path.join(root, 'prebuilds', name);

/**
 * A file of the project that holds JSON.
 * @param {string} name
 * @returns {any}
 */
export const readJson = (name) => JSON.parse(readFileSync(path.join(root, name), 'utf8'));

/**
 * A line about the progress, on stderr: stdout belongs to what is run in the end.
 * @param {string} line
 */
export const say = (line) => process.stderr.write(`tidemark: ${line}\n`);

/** What is wrong is said in one line, without a stack: there is nothing to debug in a script. */
export class SetupError extends Error {}

/**
 * Runs a script's body: one line on stderr and exit code 1 for what the user can mend.
 * @param {() => unknown} body
 */
export async function main(body) {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    process.exitCode = 1;
  }
}

/**
 * Whether a module is the script that was started, and not one that another imports.
 * @param {string} url
 */
export function isMain(url) {
  const started = process.argv[1];
  return started !== undefined && realpathSync(started) === fileURLToPath(url);
}

/**
 * Runs a command to its end and hands its output through.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {boolean} whether it succeeded
 */
export function run(command, args, env = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: 'inherit',
  });
  return result.status === 0;
}

/**
 * What a command prints, or undefined if it cannot be run.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
export function outputOf(command, args, env = {}) {
  const options = { cwd: root, env: { ...process.env, ...env } };
  const result = spawnSync(command, args, { ...options, encoding: 'utf8' });
  return result.status === 0 ? result.stdout : undefined;
}

/**
 * The command that starts a tool from node_modules, without npx and without a shell.
 * @param {string} name package name
 * @param {string[]} args
 * @returns {[string, string[]]}
 */
export function tool(name, args) {
  const { bin } = readJson(`node_modules/${name}/package.json`);
  const script = typeof bin === 'string' ? bin : (bin[name] ?? Object.values(bin)[0]);
  return [process.execPath, [path.join(root, 'node_modules', name, script), ...args]];
}
