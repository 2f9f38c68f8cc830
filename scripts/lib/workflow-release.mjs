// What the workflows owe those who install a release: that its provenance and the list of what is
// in it are published with it, that the artifacts of one job reach the other, that every supported
// Node was tried, and that nobody starts a workflow with rights who should not.
// __test__/workflows-release.spec.ts plants the faults.
import { NODES } from './targets.mjs';
import { VERIFIES_ALL, scripts, tries } from './workflow-targets.mjs';

/**
 * @typedef {import('./workflow-targets.mjs').Job} Job
 * @typedef {import('./workflow-targets.mjs').Step} Step
 * @typedef {import('./workflow-targets.mjs').Workflow} Workflow
 */

const PUBLISHES = /\bnpm publish\b.*/;
const LISTS = /\bnpm run sbom -- (\S+)/;
/** What a release may not be without, in the job that publishes: GitHub signs for these. */
const RIGHTS = ['id-token', 'attestations'];
/** What runs with the rights of this repository on what others sent is not among them. */
const TRIGGERS = ['push', 'pull_request', 'schedule', 'workflow_call', 'workflow_dispatch'];

/**
 * @param {Step} step
 * @param {string} action
 */
const isOf = ({ uses = '' }, action) => uses.startsWith(`actions/${action}@`);

/**
 * What one `with:` of a step says, as text.
 * @param {Step} step
 * @param {string} name
 */
const input = (step, name) => String(step.with?.[name] ?? '');

/** @param {string} file */
const baseName = (file) => file.split('/').at(-1) ?? '';

/**
 * Whether the steps of a job attest what they must before it is published.
 * @param {Step[]} before
 * @param {string | undefined} list the file that says what is in the package
 */
function attestationFaults(before, list) {
  const attests = before.filter((step) => isOf(step, 'attest'));
  const names = (/** @type {Step} */ step, /** @type {string} */ end) =>
    input(step, 'subject-path')
      .split(/\s+/)
      .some((subject) => subject.endsWith(end));
  /** @type {string[]} */
  const faults = [];
  const origin = attests.filter((step) => input(step, 'sbom-path') === '');
  for (const [end, what] of /** @type {const} */ ([
    ['.tgz', 'the tarball'],
    ['.node', 'the addons'],
  ])) {
    if (!origin.some((step) => names(step, end))) {
      faults.push(`nobody attests how ${what} came to be`);
    }
  }
  const listed = attests.filter((step) => baseName(input(step, 'sbom-path')) === list);
  if (list === undefined || !listed.some((step) => names(step, '.tgz'))) {
    faults.push('nobody attests what the tarball is made of');
  }
  return faults;
}

/**
 * What is wrong in release.yml: it is published without saying where it comes from.
 * @param {Workflow} release
 * @returns {string[]}
 */
export function publishFaults({ on, jobs }) {
  /** @type {string[]} */
  const faults = [];
  if (JSON.stringify(on) !== '{"push":{"tags":["v*"]}}') {
    faults.push('something else than a tag makes a release');
  }
  const packs = Object.values(jobs).filter((job) => VERIFIES_ALL.test(scripts(job)));
  const file = packs.map((job) => LISTS.exec(scripts(job))?.[1]).find((name) => name !== undefined);
  if (file === undefined) faults.push('nobody lists what the tarball is made of');
  const list = file && baseName(file);
  for (const [name, { environment, permissions = {}, steps = [] }] of Object.entries(jobs)) {
    const at = steps.findIndex(({ run = '' }) => PUBLISHES.test(run));
    if (at < 0) continue;
    const [command = ''] = PUBLISHES.exec(steps[at]?.run ?? '') ?? [];
    if (!/ --provenance(?: |$)/.test(command)) faults.push('npm publish has no --provenance');
    if (!/ \S+\.tgz(?: |$)/.test(command)) faults.push('npm publish takes no tarball');
    if (environment !== 'npm') faults.push(`${name} is not in the environment that npm trusts`);
    for (const right of RIGHTS.filter((one) => permissions[one] !== 'write')) {
      faults.push(`${name} lacks ${right}: write`);
    }
    faults.push(...attestationFaults(steps.slice(0, at), list));
  }
  for (const [name, { steps = [] }] of Object.entries(jobs)) {
    const may = steps.some(
      (step) => step.if !== undefined || step['continue-on-error'] !== undefined,
    );
    if (may) faults.push(`${name} has a step that may be left out, or fail unseen`);
  }
  return faults;
}

/**
 * The names of what jobs upload or download, by what a matrix may put into them.
 * @param {Workflow} workflow
 * @param {'upload-artifact' | 'download-artifact'} action
 */
function artifacts({ jobs }, action) {
  const steps = Object.values(jobs).flatMap((job) => job.steps ?? []);
  const names = steps.filter((step) => isOf(step, action));
  return names.map((step) => input(step, 'name') || input(step, 'pattern'));
}

/**
 * What is downloaded in release.yml that nobody uploads, and what is uploaded for nobody.
 * @param {Workflow} release
 * @param {Workflow} prebuild
 * @returns {string[]}
 */
export function artifactFaults(release, prebuild) {
  const uploads = [release, prebuild].flatMap((one) => artifacts(one, 'upload-artifact'));
  const downloads = artifacts(release, 'download-artifact');
  const fits = (/** @type {string} */ upload, /** @type {string} */ download) =>
    download.endsWith('*') ? upload.startsWith(download.slice(0, -1)) : upload === download;
  const missing = downloads.filter((name) => !uploads.some((upload) => fits(upload, name)));
  const lost = uploads.filter((name) => !downloads.some((download) => fits(name, download)));
  // One name for all targets would be one artifact, of whoever is last.
  const shared = artifacts(prebuild, 'upload-artifact').filter(
    (name) => !/matrix\.target/.test(name),
  );
  return [
    ...new Set(missing.map((name) => `nobody uploads ${name}`)),
    ...lost.map((name) => `nobody downloads ${name}`),
    ...shared.map((name) => `${name} is not of one target`),
  ];
}

/**
 * The Nodes that a job runs on: those of its matrix, if a step takes them from there.
 * @param {Job} job
 */
function nodesOf({ steps = [], strategy }) {
  const { node = [], include = [] } = strategy?.matrix ?? {};
  return steps.flatMap((step) => {
    const version = isOf(step, 'setup-node') ? step.with?.['node-version'] : undefined;
    const named = `${version ?? ''} ${step.run ?? ''}`;
    if (!/\$\{\{\s*matrix\.node\s*\}\}/.test(named)) return version === undefined ? [] : [version];
    return [...node, ...include.flatMap((row) => row.node ?? [])];
  });
}

/**
 * The supported Nodes on which a trial of the tarball does not run.
 * @param {Workflow} release
 * @returns {string[]}
 */
export function nodeFaults(release) {
  return tries(release).flatMap(([name, job]) => {
    const there = nodesOf(job);
    return NODES.filter((node) => !there.includes(node)).map(
      (node) => `${name} does not try Node ${node}`,
    );
  });
}

/**
 * What is wrong in ci.yml: what a change has to pass is left out.
 * @param {Workflow} ci
 * @returns {string[]}
 */
export function ciFaults({ on, jobs }) {
  /** @type {string[]} */
  const faults = [];
  for (const trigger of ['push', 'pull_request']) {
    if (!Object.hasOwn(Object(on), trigger)) faults.push(`nothing is checked at a ${trigger}`);
  }
  const all = Object.values(jobs);
  const checks = all.some(
    (job) =>
      job.if === undefined &&
      job['continue-on-error'] === undefined &&
      (job.steps ?? []).some(({ run = '', ...step }) => run === 'bash .ci/run' && !('if' in step)),
  );
  if (!checks) faults.push('nobody runs .ci/run');
  const there = all.flatMap(nodesOf);
  const missing = NODES.filter((node) => !there.includes(node));
  faults.push(...missing.map((node) => `nothing is tested on Node ${node}`));
  return faults;
}

/**
 * What is wrong in any workflow: who may start it, and that it may fail unseen.
 * @param {Workflow} workflow
 * @returns {string[]}
 */
export function triggerFaults({ on, jobs }) {
  const triggers = typeof on === 'string' ? [on] : Array.isArray(on) ? on : Object.keys(Object(on));
  const unknown = triggers.filter((name) => !TRIGGERS.includes(name));
  const steps = Object.entries(jobs).flatMap(([name, job]) =>
    (job.steps ?? []).map((step) => /** @type {const} */ ([name, step])),
  );
  const unseen = steps.filter(([, step]) => step['continue-on-error'] !== undefined);
  return [
    ...unknown.map((name) => `${name} may not start it`),
    ...unseen.map(([name]) => `${name} has a step that may fail unseen`),
  ];
}
