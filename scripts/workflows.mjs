// .github/workflows: what actionlint says of them, and what it cannot know: that the scripts they
// call exist, that every action is pinned by the hash of a commit, that no job may do more than it
// must, that what is built, tried and published are the targets of scripts/lib/targets.mjs, and
// that it is published with its provenance.
//
// actionlint is a program in Go, of no npm package: its module is built once, at this version, and
// checked by Go's own database of checksums. Without Go the reason is printed and the rest checked.
// On GitHub, where there is one, that is a failure: nobody would read the reason there.
import { existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parse } from 'yaml';
import { SetupError, main, outputOf, readJson, root, run, say } from './lib/project.mjs';
import {
  artifactFaults,
  ciFaults,
  nodeFaults,
  publishFaults,
  triggerFaults,
} from './lib/workflow-release.mjs';
import { prebuildFaults, releaseFaults, toolFaults } from './lib/workflow-targets.mjs';

const ACTIONLINT = { module: 'github.com/rhysd/actionlint/cmd/actionlint', version: 'v1.7.12' };
const GO = 'Go 1.25 or newer (https://go.dev)';
const DIRECTORY = '.github/workflows';
/** Steps of one line: nothing in them that only shellcheck would understand. */
const NO_SHELLCHECK = ['-shellcheck=', '-pyflakes='];

/**
 * @typedef {import('./lib/workflow-targets.mjs').Job} Job
 * @typedef {import('./lib/workflow-targets.mjs').Workflow} Workflow
 */

/** @type {string[]} */
const errors = [];

/** The program, built if it is not there; undefined where nothing can build it, which is told. */
function actionlint() {
  const directory = path.join(root, 'target/tools', `actionlint-${ACTIONLINT.version}`);
  const program = path.join(
    directory,
    process.platform === 'win32' ? 'actionlint.exe' : 'actionlint',
  );
  if (existsSync(program)) return program;
  if (outputOf('go', ['version']) === undefined) {
    if (process.env['GITHUB_ACTIONS'] === 'true') {
      throw new SetupError(`no Go compiler found to build actionlint with, ${GO}`);
    }
    say(`not checked with actionlint, which is built with ${GO}: no Go compiler found`);
    return undefined;
  }
  say(`building actionlint ${ACTIONLINT.version}`);
  mkdirSync(directory, { recursive: true });
  const wanted = `${ACTIONLINT.module}@${ACTIONLINT.version}`;
  // Outside of any module of ours, and with the checksums of Go's database.
  if (!run('go', ['install', wanted], { GOBIN: directory, GOFLAGS: '-mod=mod' })) {
    throw new SetupError(`actionlint could not be built, see above; it needs ${GO}`);
  }
  return program;
}

/** One hash for each action, wherever it is used. @type {Map<string, string>} */
const pins = new Map();

/**
 * Every `uses:` as it stands in the text, because the version is a comment.
 * @param {string} name
 * @param {string} text
 */
function checkPins(name, text) {
  text.split('\n').forEach((line, index) => {
    const used = /^\s*(?:- )?uses:\s*(.*)$/.exec(line)?.[1];
    if (used === undefined || used.startsWith('./')) return;
    const complain = (/** @type {string} */ what) => errors.push(`${name}:${index + 1}: ${what}`);
    const pin = /^([\w.-]+\/[\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$/.exec(used);
    if (pin === null) return complain(`not pinned as owner/name@<40 hex> # v1.2.3: ${used}`);
    const [, action = '', ...what] = pin;
    const known = pins.get(action) ?? what.join(' ');
    pins.set(action, known);
    if (known !== what.join(' ')) complain(`${action} is pinned otherwise elsewhere`);
  });
}

/**
 * What a step calls of ours must be there.
 * @param {string} where
 * @param {string} script
 */
function checkCalls(where, script) {
  const { scripts } = readJson('package.json');
  const calls = script.matchAll(/\bnpm (?:run(?:-script)? ([\w:.-]+)|(test|start))(?![\w:-])/g);
  for (const [call, named, own] of calls) {
    const name = named ?? own ?? '';
    if (!Object.hasOwn(scripts, name)) errors.push(`${where}: ${call}: no such script`);
  }
  const files = script.matchAll(/(?:\bnode|\bbash) (?!-)([\w./-]+\.\w+|\.ci\/run)/g);
  for (const [call, file = ''] of files) {
    if (!existsSync(path.join(root, file))) errors.push(`${where}: ${call}: no such file`);
  }
}

/**
 * @param {string} where
 * @param {Job} job
 */
function checkJob(where, job) {
  if (job.uses !== undefined) {
    if (!existsSync(path.join(root, job.uses))) errors.push(`${where}: ${job.uses}: no such file`);
    return;
  }
  if (job['timeout-minutes'] === undefined) errors.push(`${where}: no timeout-minutes`);
  if (job.permissions !== undefined && typeof job.permissions !== 'object') {
    errors.push(`${where}: permissions must be named one by one`);
  }
  const writes = Object.values(job.permissions ?? {}).includes('write');
  for (const [index, step] of (job.steps ?? []).entries()) {
    const at = `${where}: step ${index + 1}`;
    if (step.run !== undefined) checkCalls(at, step.run);
    if (/\$\{\{\s*(?:github|inputs)\b/.test(step.run ?? '')) {
      errors.push(`${at}: what somebody else wrote is in a script; take it from env`);
    }
    const checksOut = step.uses?.startsWith('actions/checkout@') === true;
    if (checksOut && step.with?.['persist-credentials'] !== false) {
      errors.push(`${at}: checkout keeps the token: persist-credentials: false`);
    }
    // What may publish runs nothing of the repository, and nothing that a pull request touched.
    if (writes && (checksOut || step.uses?.startsWith('actions/cache@') === true)) {
      errors.push(`${at}: a job that may write neither checks out nor caches`);
    }
  }
}

/** What a workflow owes the others, and those who install a release, by its file. */
const OWED = {
  'ci.yml': [ciFaults],
  'prebuild.yml': [prebuildFaults, toolFaults],
  'release.yml': [releaseFaults, toolFaults, nodeFaults, artifactFaults, publishFaults],
};

/**
 * @param {string} name
 * @returns {Workflow}
 */
const read = (name) => parse(readFileSync(path.join(root, DIRECTORY, name), 'utf8'));

await main(() => {
  const prebuild = read('prebuild.yml');
  const names = readdirSync(path.join(root, DIRECTORY)).filter((name) => /\.ya?ml$/.test(name));
  for (const file of names) {
    const name = `${DIRECTORY}/${file}`;
    const text = readFileSync(path.join(root, name), 'utf8');
    /** @type {Workflow} */
    const workflow = parse(text);
    checkPins(name, text);
    if (JSON.stringify(workflow.permissions) !== '{"contents":"read"}') {
      errors.push(`${name}: permissions must be contents: read, and more only in a job`);
    }
    for (const [job, body] of Object.entries(workflow.jobs)) checkJob(`${name}: ${job}`, body);
    const owed = Object.entries(OWED).flatMap(([of, checks]) => (of === file ? checks : []));
    const faults = [triggerFaults, ...owed].flatMap((check) => check(workflow, prebuild));
    errors.push(...faults.map((fault) => `${name}: ${fault}`));
  }
  process.stdout.write(errors.map((line) => `${line}\n`).join(''));
  const program = actionlint();
  const linted = program === undefined || run(program, NO_SHELLCHECK);
  if (errors.length > 0 || !linted) throw new SetupError('the workflows have mistakes, see above');
});
