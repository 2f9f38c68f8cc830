// What the workflows that make a release owe the table of targets: that each target is built once,
// with tools of one version, and that nothing is published before the tarball of what is shipped
// was tried on a machine of its own kind. __test__/workflows.spec.ts plants the faults.
import { SHIPPED, TARGETS } from './targets.mjs';

/**
 * @typedef {object} Step
 * @property {string} [uses]
 * @property {string} [run]
 * @property {Record<string, unknown>} [with]
 * @property {unknown} [if]
 * @property {unknown} [continue-on-error]
 * @typedef {object} Row a target to build
 * @property {string} [target]
 * @property {string} [os]
 * @property {string} [tests] whether the specs run on the runner: `here`, or `in the release`
 * @property {boolean} [experimental]
 * @property {number} [node]
 * @typedef {object} Job
 * @property {string} [uses]
 * @property {string | string[]} [needs]
 * @property {string} [runs-on]
 * @property {Step[]} [steps]
 * @property {number} [timeout-minutes]
 * @property {Record<string, string>} [permissions]
 * @property {unknown} [if]
 * @property {unknown} [environment]
 * @property {unknown} [continue-on-error]
 * @property {{ matrix: { include?: Row[], os?: string[], node?: number[] } }} [strategy]
 * @typedef {object} Workflow
 * @property {string} name
 * @property {unknown} on
 * @property {unknown} permissions
 * @property {Record<string, string | number>} [env]
 * @property {Record<string, Job>} jobs
 */

/** GitHub's machines by the label that `runs-on` has. @type {Record<string, string>} */
const RUNNERS = {
  'ubuntu-24.04': 'linux-x64',
  'ubuntu-24.04-arm': 'linux-arm64',
  'macos-15-intel': 'darwin-x64',
  'macos-15': 'darwin-arm64',
  'windows-2022': 'win32-x64',
  'windows-11-arm': 'win32-arm64',
};
const TRIES = /\bnode scripts\/try-tarball\.mjs\b/;
const IN_ALPINE = /\bnode:(?:\$\{\{.*?\}\}|[\w.])+-alpine\b/;
/** Without a target it asks for all that is shipped. */
export const VERIFIES_ALL = /\bnode scripts\/verify-prebuilds\.mjs\s*(?:$|\n)/;

/** @param {Job} job */
export const scripts = (job) => (job.steps ?? []).map(({ run = '' }) => run).join('\n');

/**
 * The jobs that try the tarball, by their names.
 * @param {Workflow} release
 */
export const tries = ({ jobs }) =>
  Object.entries(jobs).filter(([, job]) => TRIES.test(scripts(job)));

/**
 * The labels of the machines that a job runs on.
 * @param {Job} job
 */
function labels({ 'runs-on': label = '', strategy }) {
  if (!label.includes('matrix.os')) return [label];
  const { os = [], include = [] } = strategy?.matrix ?? { os: [] };
  return [...os, ...include.flatMap((row) => row.os ?? [])];
}

/**
 * A machine with its C library, as `linux-x64 musl`, or `darwin-x64` where there is no choice.
 * @param {string} machine
 * @param {string | undefined} libc
 */
const place = (machine, libc) => [machine, libc].filter(Boolean).join(' ');

/** @param {string} triple */
function placeOf(triple) {
  const target = TARGETS[triple];
  return target && place(`${target.platform}-${target.arch}`, target.libc);
}

/**
 * The machines on which a job has a C library at hand.
 * @param {Job} job
 */
function placesOf(job) {
  return labels(job).map((label) => {
    const machine = RUNNERS[label] ?? `unknown runner ${label}`;
    if (!machine.startsWith('linux-')) return machine;
    return place(machine, IN_ALPINE.test(scripts(job)) ? 'musl' : 'glibc');
  });
}

/**
 * All jobs that one waits for.
 * @param {Record<string, Job>} jobs
 * @param {string} name
 * @param {Set<string>} [known]
 */
function awaited(jobs, name, known = new Set()) {
  for (const needed of [jobs[name]?.needs ?? []].flat()) {
    if (known.has(needed)) continue;
    known.add(needed);
    awaited(jobs, needed, known);
  }
  return known;
}

/**
 * What is wrong in prebuild.yml.
 * @param {Workflow} prebuild
 * @returns {string[]}
 */
export function prebuildFaults({ jobs }) {
  const rows = Object.values(jobs).flatMap((job) => job.strategy?.matrix.include ?? []);
  const built = rows.map(({ target = '' }) => target);
  /** @type {string[]} */
  const faults = [];
  for (const triple of Object.keys(TARGETS)) {
    const count = built.filter((target) => target === triple).length;
    if (count === 0) faults.push(`${triple} is not built`);
    if (count > 1) faults.push(`${triple} is built ${count} times`);
  }
  for (const { target = '', os = '', tests = '', experimental } of rows) {
    const where = placeOf(target);
    if (where === undefined) {
      faults.push(`${target} is not a target of scripts/lib/targets.mjs`);
      continue;
    }
    // What is shipped must not pass for an experiment: a failure would go unseen.
    if (experimental !== !SHIPPED.includes(target)) {
      faults.push(`${target}: experimental is what no release ships`);
    }
    const machine = RUNNERS[os];
    if (machine?.split('-')[0] !== where.split('-')[0]) {
      faults.push(`${target} is built on ${os}, another system`);
    }
    if (!['here', 'in the release'].includes(tests)) faults.push(`${target}: tests where?`);
    // A runner has glibc; what is another machine's, or musl's, cannot be loaded there.
    const own = machine && place(machine, machine.startsWith('linux-') ? 'glibc' : undefined);
    if (tests === 'here' && own !== where) faults.push(`${target} cannot be tested on ${os}`);
  }
  return faults;
}

/**
 * What is wrong in release.yml: something is published that was not tried.
 * @param {Workflow} release
 * @returns {string[]}
 */
export function releaseFaults(release) {
  const { jobs } = release;
  /** @type {string[]} */
  const faults = [];
  const publishes = Object.keys(jobs).filter((name) =>
    /\bnpm publish\b/.test(scripts(jobs[name] ?? {})),
  );
  if (publishes.length !== 1) return [`${publishes.length} jobs publish, and not one`];
  const before = awaited(jobs, publishes[0] ?? '');
  const waitedFor = [...before].map((name) => /** @type {const} */ ([name, jobs[name] ?? {}]));
  if (!waitedFor.some(([, { uses }]) => uses === './.github/workflows/prebuild.yml')) {
    faults.push('nobody waits for prebuild.yml');
  }
  const packs = waitedFor.filter(([, job]) => VERIFIES_ALL.test(scripts(job)));
  if (packs.length === 0) faults.push('nobody verifies that all prebuilds are there');
  const trials = tries(release);
  for (const [name, job] of trials) {
    const packed = packs.some(([pack]) => awaited(jobs, name).has(pack));
    if (!packed) faults.push(`${name} does not wait for the tarball`);
    if (!before.has(name)) faults.push(`what is published does not wait for ${name}`);
    if (job['continue-on-error'] !== undefined) faults.push(`${name} may fail unseen`);
    const unknown = placesOf(job).filter((where) => where.startsWith('unknown'));
    faults.push(...unknown.map((where) => `${name}: ${where}`));
  }
  const tried = trials.flatMap(([name, job]) => (before.has(name) ? placesOf(job) : []));
  for (const triple of SHIPPED) {
    const where = placeOf(triple) ?? triple;
    if (!tried.includes(where)) faults.push(`the tarball is not tried on ${where} (${triple})`);
  }
  return faults;
}

/**
 * What is wrong with the tools that an addon is built with, or that say what is in it: one of
 * whatever version came out last, or a compiler that is not that of the addons.
 * @param {Workflow} workflow
 * @param {Workflow} prebuild
 * @returns {string[]}
 */
export function toolFaults({ env = {}, jobs }, prebuild) {
  const script = Object.values(jobs).map(scripts).join('\n');
  /** @type {string[]} */
  const faults = [];
  const { RUSTUP_TOOLCHAIN: rust = '' } = env;
  if (!/^\d+\.\d+\.\d+$/.test(String(rust))) faults.push(`RUSTUP_TOOLCHAIN is no version: ${rust}`);
  const { RUSTUP_TOOLCHAIN: theirs } = prebuild.env ?? {};
  if (rust !== theirs) faults.push(`RUSTUP_TOOLCHAIN is ${rust}, in prebuild.yml it is ${theirs}`);
  for (const [, named] of script.matchAll(/\brustup toolchain install (\S+)/g)) {
    if (named !== '"$RUSTUP_TOOLCHAIN"') faults.push(`Rust ${named} is not $RUSTUP_TOOLCHAIN`);
  }
  for (const [, packages = ''] of script.matchAll(/\bpip"? install (.+)$/gm)) {
    const words = packages.split(' ').filter((word) => !word.startsWith('-'));
    const loose = words.filter((word) => !/^[\w-]+==\d+(?:\.\d+)+$/.test(word));
    faults.push(...loose.map((word) => `${word} is of no exact version`));
  }
  for (const [, tool = '', rest = ''] of script.matchAll(/\bcargo install (\S+)(.*)$/gm)) {
    if (!/--version[ =]=?\d+\.\d+\.\d+/.test(rest)) faults.push(`${tool} is of no exact version`);
  }
  return faults;
}
