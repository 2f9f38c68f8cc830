// House rules that no linter knows: sizes, words, names, the arrows between the crates, the budget
// of unsafe code. Prints `file:line: what is wrong` and fails if there is anything; what is only
// larger than it should be is reported and passes.
import { readFileSync, readdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { readJson, root } from './lib/project.mjs';
import { linesWithoutTests, testNames, tomlTables, unsafeCount } from './lib/rust-source.mjs';

/** Lines of a file. Tests are not counted. */
const LIMITS = { rust: { soft: 500, hard: 800 }, ts: { soft: 250, hard: 400 } };
const COLUMNS_MAX = 100;

/**
 * Each crate: the most places where unsafe code may begin, and which of our crates it may use. A
 * higher number is a decision of a review, a lower one is always welcome.
 * @type {Record<string, { unsafeMax: number, uses: string[], testsUse: string[] }>}
 */
const CRATES = {
  // 17 for Unix, 24 for Windows.
  storage: { unsafeMax: 41, uses: [], testsUse: [] },
  core: { unsafeMax: 0, uses: ['tidemark-storage'], testsUse: ['tidemark-sim'] },
  sim: { unsafeMax: 0, uses: ['tidemark-storage'], testsUse: [] },
  node: { unsafeMax: 15, uses: ['tidemark-core'], testsUse: [] },
};

const NOT_OURS = new Set([
  ...['.git', 'build', 'coverage', 'dist', 'node_modules', 'prebuilds', 'target'],
]);
/** Generated, or not our words. */
const GENERATED =
  /^(?:Cargo\.lock|package-lock\.json|LICENSE|api\/.*|binding\/.*|.*\/fixtures\/.*)$/;
const CODE = /\.(?:rs|ts|cts|mjs|js|py|c)$/;
const SOURCE = /\.(?:rs|ts|cts|mjs|js|py|c|json|toml|yml|yaml)$|^\.ci\/run$/;
/** This file has to spell what it forbids. */
const SELF = 'scripts/tidy.mjs';

/** @type {{ in: RegExp, word: RegExp, why: string }[]} */
const BANNED = [
  { in: /./, word: /\b(?:FIXME|TODO|XXX)\b/, why: 'finish it, or open an issue' },
  { in: /\.rs$/, word: /\b(?:dbg|todo|unimplemented)!/, why: 'not for the repository' },
  { in: /\.rs$/, word: /#\[ignore\]/, why: 'say why: #[ignore = "reason"]' },
  { in: /\.[cm]?[jt]s$/, word: /\.only\(/, why: 'runs one test and leaves out the rest' },
  {
    in: /\.spec\.ts$/,
    word: /\btest(?:\.\w+)*\.skip\((?!.*\/\/ \w)/,
    why: 'say why, in a comment on the same line',
  },
  {
    in: /./,
    word: /\bDESIGN\b|\bSTYLE \d|\bBUILD(?::|\.md)|\bspecs\/|\b[Ss]pec \d|\b[Rr]emed(?:y|ies) \d/,
    why: 'not in the repository: say the fact, or name what is (docs/, an invariant)',
  },
  { in: /./, word: /(?<![\w.])\/(?:home|Users)\/\w+|[A-Z]:\\Users\\/, why: "somebody's directory" },
];

/** @type {string[]} */
const errors = [];
/** @type {string[]} */
const remarks = [];

/**
 * Every file of the project, named relative to its root.
 * @param {string} directory
 * @returns {string[]}
 */
function filesUnder(directory) {
  return readdirSync(path.join(root, directory), { withFileTypes: true }).flatMap((entry) => {
    const name = path.posix.join(directory, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : filesUnder(name);
    return entry.isFile() ? [name] : [];
  });
}

/** Directories of this machine: where the project lies, and the home of whoever runs this. */
const ownDirectories = [path.resolve(root), path.dirname(path.resolve(root)), os.homedir()].filter(
  (name) => name.length > 1 && name !== os.tmpdir(),
);

/**
 * @param {string} name
 * @param {string} text
 */
function checkLines(name, text) {
  const source = SOURCE.test(name);
  text.split('\n').forEach((line, index) => {
    const complain = (/** @type {string} */ what) => errors.push(`${name}:${index + 1}: ${what}`);
    if (source && /[^\t\x20-\x7e]/.test(line)) complain('a character that is not ASCII');
    const long = CODE.test(name) && line.length > COLUMNS_MAX;
    if (long) complain(`longer than ${COLUMNS_MAX} columns`);
    if (name === SELF) return;
    for (const { in: where, word, why } of BANNED) {
      const found = where.test(name) ? word.exec(line) : null;
      if (found !== null) complain(`${found[0]}: ${why}`);
    }
    for (const directory of ownDirectories) {
      const at = line.indexOf(`${directory}/`);
      if (at !== -1 && !/[\w.]/.test(line[at - 1] ?? '')) complain('a directory of this machine');
    }
  });
}

/**
 * @param {string} name
 * @param {number} count
 * @param {{ soft: number, hard: number }} limit
 */
function checkSize(name, count, { soft, hard }) {
  if (count > hard) errors.push(`${name}: ${count} lines, more than ${hard}: split it`);
  else if (count > soft) remarks.push(`${name}: ${count} lines, more than ${soft}`);
}

/**
 * @param {string} name
 * @param {string} text
 */
function checkRust(name, text) {
  // A module of unit tests beside the module that they test needs no introduction of its own.
  const unitTests = /(?:\/|_)tests\.rs$/.test(name);
  const isTest = unitTests || /\/(?:tests|benches)\//.test(name);
  if (!isTest) checkSize(name, linesWithoutTests(text), LIMITS.rust);
  if (!unitTests && !text.startsWith('//!')) {
    errors.push(`${name}:1: does not open with //! that says what it is`);
  }
  if (!/^(?:[a-z][a-z0-9_]*)\.rs$/.test(path.posix.basename(name))) {
    errors.push(`${name}: Rust files are snake_case`);
  }
  for (const test of testNames(text)) {
    const sentence = /_/.test(test) && !/^tests?_|_tests?$/.test(test);
    if (!sentence) errors.push(`${name}: test ${test}: name it as a sentence, without "test"`);
  }
}

/**
 * @param {string} name
 * @param {string} text
 */
function checkScript(name, text) {
  const base = path.posix.basename(name);
  const isTest = /^(?:__test__|interop|runtimes)\//.test(name);
  if (!isTest) checkSize(name, text.split('\n').length - 1, LIMITS.ts);
  if (!/^[a-z0-9]+(?:[-.][a-z0-9]+)*\.[cm]?[jt]s$/.test(base)) {
    errors.push(`${name}: files are kebab-case`);
  }
  if (!isTest && /\.spec\./.test(base)) {
    errors.push(`${name}: specs live in __test__/, interop/ or runtimes/`);
  }
  const imports = isTest && /from 'ava'/.test(text) && !base.endsWith('.spec.ts');
  if (imports && /\btest(?:\.\w+)*\(/.test(text)) {
    errors.push(`${name}: a file with tests is named *.spec.ts, or nobody runs it`);
  }
}

/**
 * @param {string} name
 * @param {string[]} files
 */
function checkCrate(name, files) {
  const crate = CRATES[name];
  if (crate === undefined) {
    errors.push(`crates/${name}: not in the table of ${SELF}`);
    return;
  }
  const manifest = `crates/${name}/Cargo.toml`;
  const tables = tomlTables(readFileSync(path.join(root, manifest), 'utf8'));
  const package_ = tables.get('package');
  const licence = package_?.get('license') ?? package_?.get('license.workspace');
  if (licence !== 'true' && licence !== '"Apache-2.0"') errors.push(`${manifest}: no licence`);
  for (const [title, table] of tables) {
    if (!title.endsWith('dependencies')) continue;
    const allowed = title === 'dev-dependencies' ? crate.uses.concat(crate.testsUse) : crate.uses;
    for (const key of table.keys()) {
      const dependency = key.split('.')[0] ?? key;
      if (dependency.startsWith('tidemark-') && !allowed.includes(dependency)) {
        errors.push(`${manifest}: ${title}: ${name} must not use ${dependency}`);
      }
    }
  }
  const sources = files.filter((file) => file.startsWith(`crates/${name}/src/`));
  const used = sources
    .map((file) => unsafeCount(readFileSync(path.join(root, file), 'utf8')))
    .reduce((sum, count) => sum + count, 0);
  if (used > crate.unsafeMax) {
    errors.push(`crates/${name}: unsafe ${used} times, its budget is ${crate.unsafeMax}`);
  }
}

const files = filesUnder('.');
for (const name of files.filter((file) => !GENERATED.test(file))) {
  if (!SOURCE.test(name) && !name.endsWith('.md')) continue;
  const text = readFileSync(path.join(root, name), 'utf8');
  checkLines(name, text);
  if (text !== '' && !text.endsWith('\n')) errors.push(`${name}: no newline at its end`);
  if (name.endsWith('.rs')) checkRust(name, text);
  if (/\.[cm]?[jt]s$/.test(name)) checkScript(name, text);
  if (name.endsWith('.md') && !text.startsWith('# ')) errors.push(`${name}:1: no title`);
}
for (const entry of readdirSync(path.join(root, 'crates'), { withFileTypes: true })) {
  if (entry.isDirectory()) checkCrate(entry.name, files);
}
const cargoVersion = tomlTables(readFileSync(path.join(root, 'Cargo.toml'), 'utf8'))
  .get('workspace.package')
  ?.get('version');
if (cargoVersion !== JSON.stringify(readJson('package.json').version)) {
  errors.push('package.json and Cargo.toml have different versions');
}

process.stdout.write(remarks.map((line) => `remark: ${line}\n`).join(''));
process.stdout.write(errors.map((line) => `${line}\n`).join(''));
if (errors.length > 0) process.exitCode = 1;
